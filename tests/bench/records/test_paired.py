"""A record and its outcomes must belong together."""

import shutil
from dataclasses import replace

import pytest

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.gate.check import check
from flatqat.bench.records.paired import outcomes_of
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.errors import StoreError
from tests.helpers import RESULTS
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
        lambda: check(store, baseline, 0.5, 0.01, False),
        lambda: write_baseline(store, baseline),
    ):
        with pytest.raises(StoreError, match=message):
            refused()


def test_all_committed_outcomes_are_those_of_their_records():
    for folder in RESULTS.glob("*/records"):
        store = Store(folder.parent)
        for record in store.records():
            assert outcomes_of(record, store).keys() == record.scores.keys()
