"""A record and its outcomes must belong together."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.gate.check import check
from flatqat.bench.records.paired import outcomes_of, shares_by_seed
from flatqat.bench.records.record_json import record_to_dict
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.errors import StoreError
from flatqat.spec import Flatness
from tests.helpers import RESULTS, study_records
from tests.helpers.street_records import FP, matrices, put

QAT = replace(FP, method="qat", quant="4")


@pytest.fixture(params=["top1", "miou"])
def store(request, tmp_path) -> Store:
    """Two cells of as many images, with the outcomes of the second."""
    if request.param == "top1":
        shutil.copytree(RESULTS / "first-look", tmp_path, dirs_exist_ok=True)
        return Store(tmp_path)
    store = Store(tmp_path)
    put(store, FP, matrices())
    put(store, QAT, matrices(seed=1, loss=0.1))
    return store


def test_outcomes_of_another_cell_are_refused_in_reports_and_by_the_gate(store, tmp_path):
    baseline = tmp_path / "b.json"
    write_baseline(store, baseline)
    first, second, *_ = store.records()
    shutil.copy(store.outcomes_path(second.cell), store.outcomes_path(first.cell))
    message = (
        rf"{first.cell.label}\.npz: expected the outcomes of its record, .*got .*; (delete|run the cell)"
    )
    for refused in (
        lambda: outcomes_of(first, store),
        lambda: render(store, None, "md", "method"),
        lambda: check(store, baseline),
        lambda: write_baseline(store, baseline),
    ):
        with pytest.raises(StoreError, match=message):
            refused()


def test_all_committed_outcomes_are_those_of_their_records():
    for folder in RESULTS.glob("*/records"):
        store = Store(folder.parent)
        for record in store.records():
            assert outcomes_of(record, store).keys() == record.scores.keys()


def test_outcomes_swapped_between_shifts_of_equal_accuracy_are_refused(tmp_path):
    store, right = Store(tmp_path), study_records.right_of(0, 0.1, {}, [1])
    right["snow/1"] = np.roll(right["fog/1"], 1)
    record = study_records.put(store, study_records.CELL, right)
    (record,) = store.records()
    assert outcomes_of(record, store)
    arrays = store.outcomes(record.cell)
    swapped = {"fog/1:margin": arrays["snow/1:margin"], "snow/1:margin": arrays["fog/1:margin"]}
    np.savez_compressed(store.outcomes_path(record.cell), **{**arrays, **swapped})
    with pytest.raises(StoreError, match=r"the outcomes of its record, got others.*run the cell again"):
        outcomes_of(record, store)
    assert store.finished(record.cell) is None


def test_older_records_know_no_hash_and_are_checked_by_their_scores(tmp_path):
    shutil.copytree(RESULTS / "first-look", tmp_path, dirs_exist_ok=True)
    store = Store(tmp_path)
    path = store.record_paths()[0]
    stored = json.loads(path.read_text())
    del stored["outcomes_sha256"], stored["last_run"]
    path.write_text(json.dumps(stored))
    first, *_ = store.records()
    assert not first.outcomes_sha256
    assert "outcomes_sha256" not in record_to_dict(first)
    assert store.finished(first.cell) == first
    arrays = store.outcomes(first.cell)
    arrays["fog/3:margin"] = -arrays["fog/3:margin"]
    np.savez_compressed(store.outcomes_path(first.cell), **arrays)  # and no stacks of several shifts, either
    with pytest.raises(StoreError, match=r"expected the outcomes of its record, .* on fog/3"):
        outcomes_of(first, store)


def test_a_record_keeps_its_hash_when_it_gets_flatness(tmp_path):
    store = Store(tmp_path)
    study_records.put(store, study_records.CELL, study_records.right_of(0, 0.1, {}, [1]))
    (record,) = store.records()
    assert len(record.outcomes_sha256) == 64
    store.write_record(replace(record, flatness=Flatness(failed="nan")))
    assert store.finished(record.cell).outcomes_sha256 == record.outcomes_sha256


def test_shifts_of_one_image_set_with_other_images_are_refused():
    record = next(r for r in Store(RESULTS / "first-look").records() if r.status == "done")
    id_, shift, *_ = record.protocol.shifts
    values = {0: {id_: np.ones(4), shift: np.ones(3)}}
    with pytest.raises(StoreError, match=f"{record.cell.label}: {shift}: expected the same images .* rm"):
        shares_by_seed(record, values, {id_: 1.0, shift: -1.0})
