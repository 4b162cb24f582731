"""Results folders made one: all cells, no cell with two numbers, nothing written unless all fits."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from flatqat.bench.records import merge as module
from flatqat.bench.records.merge import merge
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.spec import Flatness, Record
from tests.helpers import study_records
from tests.helpers.records import environment, space_flatness
from tests.helpers.study_records import CELL, flatness, right_of


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    """Seeds 0 and 1 of one cell in one folder, 1 and 2 in the other."""
    paths = [tmp_path / name for name in "ab"]
    for path, seeds in zip(paths, ((0, 1), (1, 2)), strict=True):
        for seed in seeds:
            study_records.put(Store(path), replace(CELL, seed=seed), right_of(seed, 0.1, {}, [1]))
    return paths


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_cells_and_their_outcomes_are_there_once(folders, tmp_path):
    (folders[1] / "data").mkdir()
    (folders[1] / "data" / "t.json").write_text(json.dumps({"fingerprint": "one"}))
    merged = merge(folders, tmp_path / "c")
    assert (merged.added, merged.cells) == ([2, 1], 3)
    assert files(tmp_path / "c") == files(folders[0]) | files(folders[1])


def test_merging_again_and_into_one_of_them_changes_what_is_missing_alone(folders, tmp_path):
    merge(folders, tmp_path / "c")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "c").rglob("*")}
    assert merge(folders, tmp_path / "c").added == [0, 0]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "c").rglob("*")} == before
    assert merge(folders, folders[0]).added == [1]
    assert files(folders[0]) == files(tmp_path / "c")


def test_a_merge_that_is_cut_off_is_continued(folders, tmp_path, monkeypatch):
    write = module.write_atomically
    for most in (0, 1, 1):
        written: list[Path] = []

        def cut_off(path, *data, most=most, written=written):
            if len(written) == most:
                raise KeyboardInterrupt
            written.append(path)
            write(path, *data)

        monkeypatch.setattr(module, "write_atomically", cut_off)
        with pytest.raises(KeyboardInterrupt):
            merge(folders, tmp_path / "c")
        assert all(Store(tmp_path / "c").finished(r.cell) for r in Store(tmp_path / "c").records())
    monkeypatch.undo()
    merge(folders, tmp_path / "c")
    assert files(tmp_path / "c") == files(folders[0]) | files(folders[1])


def test_what_another_command_writes_during_a_merge_stays(folders, tmp_path, monkeypatch):
    """A run measures flatness in the folder that is merged into, after the merge has read its records."""
    merge(folders, tmp_path / "c")
    store = Store(tmp_path / "c")
    (record, *_) = Store(folders[0]).records()
    Store(folders[0]).write_record(replace(record, last_run="2031-01-01T00:00:00+00:00"))

    def measure_meanwhile(_):
        store.write_record(replace(record, flatness=flatness(0.1, 0.2)))

    monkeypatch.setattr(module, "check_writable", measure_meanwhile)
    merge(folders, tmp_path / "c")
    assert store.record(record.cell).flatness == flatness(0.1, 0.2)
    assert store.record(record.cell).last_run.startswith("2031")


def test_a_cell_that_a_run_finishes_meanwhile_keeps_its_outcomes(folders, tmp_path, monkeypatch):
    """Only the merge fails: nothing of the cell that the run wrote is replaced."""
    store = Store(tmp_path / "c")

    def finish_meanwhile(_):
        study_records.put(store, replace(CELL, seed=0), right_of(0, 0.1, {}, [2]))

    monkeypatch.setattr(module, "check_writable", finish_meanwhile)
    with pytest.raises(StoreError, match="expected one set of scores"):
        merge(folders, tmp_path / "c")
    (record,) = store.records()
    assert store.has_outcomes(record)


def test_one_cell_with_two_scores_is_refused_before_anything_is_written(folders, tmp_path):
    study_records.put(Store(folders[1]), replace(CELL, seed=1), right_of(1, 0.1, {}, [2]))
    with pytest.raises(StoreError, match=rf"cell m-qat-4-s1-.*one set of scores, got others in {folders[1]}"):
        merge(folders, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_one_cell_with_equal_scores_of_other_images_is_refused(folders, tmp_path):
    right = right_of(1, 0.1, {}, [1])
    study_records.put(Store(folders[1]), replace(CELL, seed=1), right | {"id": np.roll(right["id"], 1)})
    with pytest.raises(StoreError, match="one set of outcomes"):
        merge(folders, tmp_path / "c")


def test_other_images_are_refused_with_both_fingerprints(folders, tmp_path):
    for folder, fingerprint in zip(folders, ("one", "other"), strict=True):
        (folder / "data").mkdir()
        (folder / "data" / "t.json").write_text(json.dumps({"fingerprint": fingerprint}))
    with pytest.raises(StoreError, match=r"t: expected the same images .* got one in .*a and other in .*b"):
        merge(folders, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_images_are_compared_by_the_records_where_a_folder_does_not_name_them(folders, tmp_path):
    store = Store(folders[1])
    for record in store.records():
        store.write_record(replace(record, protocol=replace(record.protocol, data="other")))
    with pytest.raises(StoreError, match="s: expected the same images"):
        merge(folders, tmp_path / "c")


def test_seeds_with_images_of_their_own_have_their_own_fingerprints(folders, tmp_path):
    store = Store(folders[1])
    record = store.record(replace(CELL, seed=2))
    store.write_record(replace(record, protocol=replace(record.protocol, data="other", split="-2")))
    assert merge(folders, tmp_path / "c").cells == 3


def test_of_a_cell_that_is_done_in_one_folder_the_failure_in_another_is_forgotten(tmp_path):
    a, b = (Store(tmp_path / name) for name in "ab")
    study_records.put(a, CELL, right_of(0, 0.1, {}, [1]))
    b.write_record(Record(cell=CELL, status="failed", reason="no memory", last_run="2030"))
    for order in ([a.root, b.root], [b.root, a.root]):
        into = tmp_path / f"into-{order[0].name}"
        merge(order, into)
        assert Store(into).finished(CELL)


def test_of_two_failures_the_last_one_stays(tmp_path):
    for name, when in (("a", "2029"), ("b", "2030")):
        Store(tmp_path / name).write_record(Record(cell=CELL, status="failed", reason=name, last_run=when))
    merge([tmp_path / "b", tmp_path / "a"], tmp_path / "c")
    assert Store(tmp_path / "c").record(CELL).reason == "b"


def test_flatness_comes_from_both(tmp_path):
    a, b = (Store(tmp_path / name) for name in "ab")
    right = right_of(0, 0.1, {}, [1])
    study_records.put(a, CELL, right, Flatness(latent=space_flatness(3.0, space="latent")))
    study_records.put(b, CELL, right, Flatness(quantized=flatness(2.0, 1.0).quantized))
    merge([a.root, b.root], tmp_path / "c")
    spaces = Store(tmp_path / "c").record(CELL).flatness.spaces
    assert set(spaces) == {"quantized", "latent"}


def test_flatness_names_where_it_was_measured_if_that_is_not_where_the_record_says(tmp_path):
    places = [environment(threads) for threads in (1, 2)]
    spaces = [space_flatness(space=name) for name in ("quantized", "latent", "step_size")]
    first = Flatness(quantized=spaces[0], latent=replace(spaces[1], env=places[1]))
    later = Flatness(step_size=spaces[2])
    for at, place, measured, when in (("a", 0, first, "2029"), ("b", 1, later, "2030")):
        store = Store(tmp_path / at)
        study_records.put(store, CELL, right_of(0, 0.1, {}, [1]), measured)
        store.write_record(replace(store.record(CELL), env=places[place], last_run=when))
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    found = Store(tmp_path / "c").record(CELL)
    assert found.env == places[1]
    assert {name: space.env for name, space in found.flatness.spaces.items()} == {
        "quantized": places[0],
        "latent": None,
        "step_size": None,
    }


def test_of_what_both_have_that_of_the_last_run_stays(tmp_path):
    a, b = (Store(tmp_path / name) for name in "ab")
    for store, when, sharpness in ((a, "2030", 2.0), (b, "2029", 1.0)):
        study_records.put(store, CELL, right_of(0, 0.1, {}, [1]), flatness(sharpness, 1.0))
        store.write_record(replace(store.record(CELL), last_run=when))
    for order in ([a.root, b.root], [b.root, a.root]):
        into = tmp_path / f"into-{order[0].name}"
        merge(order, into)
        found = Store(into).record(CELL)
        assert (found.last_run, found.flatness.quantized) == ("2030", space_flatness(2.0))


def test_a_damaged_file_of_weights_is_named_before_anything_is_written(folders, tmp_path):
    (folders[1] / "weights").mkdir()
    (folders[1] / "weights" / "123.safetensors").write_bytes(b"no weights")
    with pytest.raises(StoreError, match=r"123\.safetensors: expected stored weights"):
        merge(folders, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    merge(folders, tmp_path / "c", weights=False)
    assert not (tmp_path / "c" / "weights").exists()


def test_one_training_with_two_weights_is_refused_before_anything_is_written(folders, tmp_path):
    for folder, value, seconds in zip(folders, (1.0, 2.0), ("1", "2"), strict=True):
        (folder / "weights").mkdir()
        path = folder / "weights" / "123.safetensors"
        save_file({"w": np.full(3, value, np.float32)}, path, {"file": path.name, "train": seconds})
    for into in (tmp_path / "c", folders[0]):
        with pytest.raises(StoreError, match=r"123\.safetensors: .*weights of one training, got others"):
            merge(folders, into)
    assert not (tmp_path / "c").exists()
    path = folders[1] / "weights" / "123.safetensors"
    save_file({"w": np.full(3, 1.0, np.float32)}, path, {"file": path.name, "train": "2"})
    assert merge(folders, tmp_path / "c").weights == 1


def test_the_command_says_what_came_from_where(flatqat, folders, tmp_path):
    (folders[0] / ".work" / "0123456789ab-1.0").mkdir(parents=True)
    done = flatqat("results", "merge", *folders, "--into", tmp_path / "c")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"{folders[0]}: 2 new cells; 1 unfinished, left there",
        f"{folders[1]}: 1 new cell",
        f"{tmp_path / 'c'}: 3 cells; 0 weights files copied",
    ]


def outcomes_in(folder: Path) -> Path:
    return next(folder.glob("records/*/*-s0-*.npz"))


@pytest.mark.parametrize("damage", ["byte", "folder", "link"])
def test_damaged_outcomes_are_named_before_anything_is_written(folders, tmp_path, damage):
    path = outcomes_in(folders[0])
    data = bytearray(path.read_bytes())
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "link":
        path.symlink_to(tmp_path / "gone")
    else:
        data[-1] ^= 1
        path.write_bytes(data)
    with pytest.raises(StoreError, match=f"{path}: expected the outcomes of its record, got another file"):
        merge(folders, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_outcomes_that_a_folder_lacks_or_has_damaged_come_from_another_one(folders, tmp_path):
    merge(folders, tmp_path / "c")
    path = outcomes_in(tmp_path / "c")
    whole = path.read_bytes()
    path.write_bytes(b"no zip file")
    assert merge(folders, tmp_path / "c").added == [0, 0]
    assert path.read_bytes() == whole
    path.unlink()
    assert merge(folders, tmp_path / "c").bare == 0
    assert path.read_bytes() == whole


def test_cells_whose_outcomes_no_folder_has_are_counted(flatqat, folders, tmp_path):
    outcomes_in(folders[0]).unlink()
    done = flatqat("results", "merge", *folders, "--into", tmp_path / "c")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "without outcomes, and so without intervals: 1 cell"


def test_a_folder_that_is_merged_into_itself_must_be_there(flatqat, tmp_path):
    failed = flatqat("results", "merge", tmp_path / "none", "--into", tmp_path / "none")
    assert failed.code == 2
    assert f"results folder {tmp_path / 'none'}: expected a folder, found none" in failed.err
    assert not (tmp_path / "none").exists()


def test_a_folder_without_results_is_named(flatqat, folders, tmp_path):
    failed = flatqat("results", "merge", folders[0], tmp_path / "none", "--into", tmp_path / "c")
    assert failed.code == 2
    assert f"results folder {tmp_path / 'none'}: expected a folder, found none" in failed.err
    assert not (tmp_path / "c").exists()
