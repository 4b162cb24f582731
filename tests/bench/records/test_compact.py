"""A small copy of results: the same tables and intervals from two bits an image."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatqat.bench.records import compact as module
from flatqat.bench.records.compact import compact
from flatqat.bench.records.files import read_arrays
from flatqat.bench.records.merge import merge
from flatqat.bench.records.sound import Examined
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.errors import StoreError, UsageError
from tests.helpers import RESULTS, street_records, study_records
from tests.helpers.records import space_flatness
from tests.helpers.study_records import CELL, N, flatness, right_of


@pytest.fixture
def source(tmp_path) -> Store:
    return study_records.planted(tmp_path / "source")


@pytest.mark.parametrize("name", ["weights", "pictures", "sensitivity"])
def test_a_folder_that_is_no_compact_copy_is_refused(source, tmp_path, name):
    """Half of its cells would have outcomes of one kind and half of another."""
    (tmp_path / "whole" / name).mkdir(parents=True)
    with pytest.raises(UsageError, match=f"--into: expected a new folder or .* got one with {name}"):
        compact(source, Store(tmp_path / "whole"))
    assert [path.name for path in (tmp_path / "whole").iterdir()] == [name]


def test_a_folder_with_whole_outcomes_is_no_compact_copy(source, tmp_path):
    store, record = Store(tmp_path / "whole"), source.records()[0]
    arrays = {f"{shift}:{name}": np.ones(N) for shift in record.scores for name in ("margin", "confidence")}
    store.write_record(record, arrays)
    with pytest.raises(UsageError, match="compact copy, got one with whole outcomes"):
        compact(source, store)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_reports_are_the_same(source, tmp_path):
    target = Store(tmp_path / "target")
    before = files(source.root)
    assert compact(source, target) == (len(source.records()), len(source.records()))
    assert files(source.root) == before
    for form in ("md", "json"):
        assert render(target, None, form, "method", "qat") == render(source, None, form, "method", "qat")
    assert Examined(target).problems == [p.replace("source", "target") for p in Examined(source).problems]


def test_an_image_is_its_sign_alone(source, tmp_path):
    target = Store(tmp_path / "target")
    compact(source, target)
    record = source.records()[0]
    for path in (target.root / "records").glob("*/*.npz"):
        arrays = {k: v for k, v in read_arrays(path).items() if not k.endswith("/shifts")}
        assert {key.split("/")[1] for key in arrays} == {"margin"}
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.int8)}
        assert path.stat().st_size < N * len(record.scores) / 2
    kept = target.outcomes(record.cell, sha256=target.records()[0].outcomes_sha256)
    for key, margin in source.outcomes(record.cell, ["margin"]).items():
        np.testing.assert_array_equal(kept[key], np.where(margin > 0, 1, -1))


def test_confusions_of_pixels_stay_whole(tmp_path):
    streets, target = Store(tmp_path / "streets"), Store(tmp_path / "target")
    each = np.random.default_rng(0).integers(0, 9, (4, len(street_records.NAMES), len(street_records.NAMES)))
    street_records.put(streets, replace(CELL, suite="p"), dict.fromkeys(street_records.SHIFTS, each))
    compact(streets, target)
    (record,) = streets.records()
    before, after = streets.outcomes(record.cell), target.outcomes(record.cell)
    assert any(key.endswith(":confusion") for key in before)
    assert before.keys() == after.keys()
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])


def test_cells_and_flatness_that_come_later_are_added(source, tmp_path):
    target = Store(tmp_path / "target")
    compact(source, target)
    before, times = files(target.root), written(target.root)
    assert compact(source, target) == (0, len(before) // 2)
    assert files(target.root) == before
    assert written(target.root) == times, "what is there stays"

    study_records.put(source, replace(CELL, seed=7), right_of(7, 0.1, {}, [1]))
    record = source.records()[0]
    more = replace(record, flatness=flatness(3.0, 4.0))
    source.write_record(more)
    assert compact(source, target) == (1, len(before) // 2 + 1)
    stored = target.record(record.cell)
    assert stored.flatness.quantized == space_flatness(3.0)
    assert target.has_outcomes(stored)


def test_one_that_was_cut_off_goes_on(source, tmp_path, monkeypatch):
    target, whole = Store(tmp_path / "target"), Store(tmp_path / "whole")
    compact(source, whole)
    write = Store.write_record

    def cut_off(self, record, outcomes=None):
        if record.cell.seed == 1:
            raise KeyboardInterrupt
        return write(self, record, outcomes)

    with monkeypatch.context() as patch:
        patch.setattr(module.Store, "write_record", cut_off)
        with pytest.raises(KeyboardInterrupt):
            compact(source, target)
    compact(source, target)
    assert files(target.root) == files(whole.root)


def test_other_numbers_images_and_the_same_folder_are_refused(source, tmp_path):
    with pytest.raises(UsageError, match="expected another folder"):
        compact(source, Store(source.root / ".." / "source"))
    other = Store(tmp_path / "other")
    study_records.put(other, source.records()[0].cell, right_of(99, 0.5, {}, [9]))
    before = files(other.root)
    with pytest.raises(StoreError, match="expected one set of scores"):
        compact(source, other)
    assert files(other.root) == before
    with pytest.raises(StoreError, match="none: expected a folder"):
        compact(Store(tmp_path / "none"), other)


def test_fingerprints_come_along_and_other_images_are_refused(source, tmp_path):
    target = Store(tmp_path / "target")
    for store, fingerprint in ((source, "one"), (target, "other")):
        (store.root / "data").mkdir(parents=True)
        (store.root / "data" / "t.json").write_text(json.dumps({"fingerprint": fingerprint}))
    with pytest.raises(StoreError, match=r"t: expected the same images .*got other in .*and one in"):
        compact(source, target)
    (target.root / "data" / "t.json").unlink()
    compact(source, target)
    assert files(target.root)["data/t.json"] == files(source.root)["data/t.json"]


def test_the_committed_study_is_compact():
    for path in (RESULTS / "first-study" / "records").glob("*/*.npz"):
        assert {key.split("/")[1] for key in read_arrays(path)} == {"shifts", "margin"}


def test_outcomes_that_the_copy_has_lost_come_back(source, tmp_path):
    target = Store(tmp_path / "target")
    compact(source, target)
    before = files(target.root)
    path = target.outcomes_path(target.records()[0].cell)
    path.unlink()
    assert compact(source, target) == (0, len(before) // 2)
    assert files(target.root) == before


def test_a_copy_is_not_merged_with_its_folder(source, tmp_path):
    target = Store(tmp_path / "target")
    compact(source, target)
    with pytest.raises(StoreError, match="a compact copy"):
        merge([source.root, target.root], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_damaged_outcomes_are_named_before_anything_is_written(source, tmp_path):
    target = Store(tmp_path / "target")
    path = next(source.root.glob("records/*/*.npz"))
    path.write_bytes(b"no zip file")
    with pytest.raises(StoreError, match=f"{path}: expected the outcomes of its record"):
        compact(source, target)
    assert not target.root.exists()
