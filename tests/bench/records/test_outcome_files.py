"""Outcomes in few arrays: what is in a file, and that older files with an array a shift are the same."""

import hashlib
import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from flatqat.bench.records import files
from flatqat.bench.records.files import arrays_as_bytes, read_arrays
from flatqat.bench.records.members import members
from flatqat.bench.records.outcomes import stack, stacks
from flatqat.bench.records.paired import outcomes_of
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from tests.helpers import street_records, study_records

MARGIN = np.float16([1.5, -2, 3])
ARRAYS = {
    **{f"{shift}:pred": np.uint8([1, 2, k]) for k, shift in enumerate(("id", "fog/1", "fog/2"))},
    **{f"{shift}:margin": k * MARGIN for k, shift in enumerate(("id", "fog/1", "fog/2"))},
    "val:pred": np.uint8([3, 4]),
    "val:margin": np.float16([1, 2]),
}


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())


def test_shifts_of_equally_many_images_are_one_array():
    stored = stack(ARRAYS)
    assert {name: array.shape for name, array in stored.items()} == {
        "0/shifts": (3,),
        "0/pred": (3, 3),
        "0/margin": (3, 3),
        "1/shifts": (1,),
        "1/pred": (1, 2),
        "1/margin": (1, 2),
    }
    found = {
        f"{shift}:{name}": row
        for shifts, arrays in stacks(stored)
        for name, array in arrays.items()
        for shift, row in zip(shifts, array, strict=True)
    }
    assert found.keys() == ARRAYS.keys()
    assert all(
        (found[key] == array).all() and found[key].dtype == array.dtype for key, array in ARRAYS.items()
    )


@pytest.mark.parametrize("metric", ["top1", "miou"])
def test_older_files_hold_the_same_outcomes(tmp_path, metric):
    store = Store(tmp_path)
    if metric == "top1":
        study_records.put(store, study_records.CELL, study_records.right_of(0, 0.1, {}, [1]))
    else:
        street_records.put(store, street_records.FP, street_records.matrices())
    (record,) = store.records()
    now, arrays, path = (
        outcomes_of(record, store),
        store.outcomes(record.cell),
        store.outcomes_path(record.cell),
    )
    np.savez_compressed(path, **arrays)
    older = outcomes_of(replace(record, outcomes_sha256=""), store)
    assert older.keys() == now.keys() == record.scores.keys()
    assert all((older[shift] == now[shift]).all() for shift in now)


def test_files_are_npz_which_compress_what_that_halves(tmp_path):
    arrays = {"a": np.zeros((4, 500)), "b": np.random.default_rng(0).normal(size=300), "c": np.array("text")}
    data = arrays_as_bytes(arrays)
    assert data == arrays_as_bytes(arrays)
    with np.load(io.BytesIO(data)) as loaded:
        assert all((loaded[name] == array).all() for name, array in arrays.items())
    kinds = {info.filename: info.compress_type for info in zipfile.ZipFile(io.BytesIO(data)).infolist()}
    assert kinds["a.npy"] == zipfile.ZIP_DEFLATED
    assert kinds["b.npy"] == zipfile.ZIP_STORED
    (tmp_path / "x.npz").write_bytes(data)
    read = read_arrays(tmp_path / "x.npz")
    assert all(
        (read[name] == array).all() and read[name].dtype == array.dtype for name, array in arrays.items()
    )


@pytest.mark.parametrize(
    "array", [np.arange(6).reshape(2, 3).T, np.float32(2), np.zeros((0, 3)), np.array(["é"])]
)
def test_any_array_is_read_as_numpy_reads_it(tmp_path, array):
    np.savez_compressed(tmp_path / "x.npz", x=array)
    assert same(read_arrays(tmp_path / "x.npz")["x"], np.asarray(array))


def test_the_header_of_an_array_is_parsed_once_for_all_files(tmp_path, monkeypatch):
    parsed = []
    parse = np.lib.format.read_array_header_1_0
    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", lambda file: parsed.append(1) or parse(file))
    files._layout.cache_clear()
    for name in ("x", "y", "z"):
        (tmp_path / f"{name}.npz").write_bytes(arrays_as_bytes({"a": np.full((5, 7), len(parsed))}))
        assert read_arrays(tmp_path / f"{name}.npz")["a"].shape == (5, 7)
    assert len(parsed) == 1


def test_members_of_a_known_hash_are_found_without_the_directory(tmp_path, monkeypatch):
    arrays = {"a": np.zeros((4, 500)), "1/b": np.random.default_rng(0).normal(size=300), "c": np.array("é")}
    data = arrays_as_bytes(arrays)
    (tmp_path / "x.npz").write_bytes(data)
    plain = read_arrays(tmp_path / "x.npz")
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", None)
        read = read_arrays(tmp_path / "x.npz", sha256=hashlib.sha256(data).hexdigest())
    assert read.keys() == plain.keys() == arrays.keys()
    assert all(same(read[name], array) and same(plain[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("how", ["streamed", "numpy", "before", "empty"])
def test_zip_files_of_another_layout_are_read_all_the_same(tmp_path, how):
    path = tmp_path / "x.npz"
    if how == "streamed":  # sizes stand behind the members
        with path.open("wb") as file:
            np.savez(_Stream(file), x=np.arange(3))
    elif how == "numpy":
        np.savez(path, x=np.arange(3))
    else:
        path.write_bytes(
            (how == "before") * b"?" + arrays_as_bytes({"x": np.arange(3)} if how != "empty" else {})
        )
    assert not members(path.read_bytes())
    read = read_arrays(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert {name: array.tolist() for name, array in read.items()} == (
        {"x": [0, 1, 2]} if how != "empty" else {}
    )


class _Stream:
    """A file that cannot be sought."""

    def __init__(self, file):
        self.write, self.flush = file.write, file.flush

    def read(self):
        raise OSError


def test_damaged_members_are_refused_although_the_hash_is_theirs(tmp_path):
    data = arrays_as_bytes({"a": np.zeros((4, 500)), "b": np.random.default_rng(0).normal(size=300)})
    path, sizes = tmp_path / "x.npz", (b"PK\3\4", 22)
    for damaged in (
        _with(data, data.index(sizes[0]) + sizes[1], 7, 1),  # another size than it inflates to
        _with(data, data.rindex(sizes[0]) + sizes[1], 7, 1),  # another size than is stored
        _with(data, data.index(sizes[0]) + 45, 0xFF, 3),  # what does not inflate
    ):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="expected stored arrays, got a damaged file"):
            read_arrays(path, sha256=hashlib.sha256(damaged).hexdigest())


def _with(data: bytes, place: int, value: int, count: int) -> bytes:
    return data[:place] + bytes([value]) * count + data[place + count :]


def test_groups_whose_arrays_do_not_fit_are_refused(tmp_path):
    store = Store(tmp_path)
    study_records.put(store, study_records.CELL, study_records.right_of(0, 0.1, {}, [1]))
    (record,) = store.records()
    path = store.outcomes_path(record.cell)
    with np.load(path) as loaded:
        arrays = dict(loaded)
    for changed in (
        {"0/shifts": np.array(["id"])},
        {"0/margin": arrays["0/margin"][0]},
        {"2/margin": MARGIN},
    ):
        np.savez(path, **{**arrays, **changed})
        with pytest.raises(
            StoreError, match=r"group [02]: expected arrays \(shifts, images, ...\).*run the cell"
        ):
            outcomes_of(replace(record, outcomes_sha256=""), store)
