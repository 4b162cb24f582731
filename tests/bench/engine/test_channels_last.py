"""The layout of pixels in memory: asked for by the recipe, and without meaning for the numbers."""

from dataclasses import replace

import pytest
import torch

from flatqat.bench.cell.restore import restore
from flatqat.bench.engine.train import starting_point
from flatqat.bench.plan.jobs import Plan, make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from tests.helpers.running import run_plan

METHODS = ("qat", "anchor", "sam", "swad", "fqat")  # each with weights or gradients of its own


def planned(folder, *, channels_last: bool, methods=("fp", "qat")) -> Plan:
    """Two steps of methods, both with the layout or both without."""
    recipe = {"pretrain_steps": "0", "steps": "2", "bn_batches": "1", "lr": "0.001"}
    recipe |= {"channels_last": "true"} if channels_last else {}
    return make_plan(
        Request(
            suites=("toy",), methods=methods, bits=("8",), seeds=(0,), settings={"recipe": recipe},
            results=folder, spaces=(),
        )
    )  # fmt: skip


def has_layout(model) -> bool:
    """Whether weights that may lie in memory in two ways have their channels last."""
    free = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1 and p[0, 0].numel() > 1]
    found = {p.is_contiguous(memory_format=torch.channels_last) for p in free}
    assert len(found) == 1
    return found.pop()


def test_networks_are_trained_and_scored_in_the_layout_of_the_recipe(tmp_path):
    records = {wanted: run_plan(planned(tmp_path, channels_last=wanted)) for wanted in (False, True)}
    store = Store(tmp_path)
    for wanted, of_layout in records.items():
        for record in of_layout:
            assert record.status == "done", record.reason
            assert record.protocol.recipe.channels_last is wanted
            assert ("channels_last" in record.to_dict()["protocol"]["recipe"]) is wanted
        job = planned(tmp_path, channels_last=wanted).scored()[0]
        assert has_layout(starting_point(replace(job, parent=None, weights=None), store)) is wanted
        assert has_layout(restore(job.cell, job.suite, store)) is wanted
    ids = {record.cell.training_id for of_layout in records.values() for record in of_layout}
    assert len(ids) == 4


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The records of methods without the layout, and with it."""
    folders = [tmp_path_factory.mktemp("results") for _ in range(2)]
    return [
        {r.cell.method: r for r in run_plan(planned(folder, channels_last=wanted, methods=METHODS))}
        for wanted, folder in zip((False, True), folders, strict=True)
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_comes_to_the_same_numbers_but_for_rounding(ran, method):
    plain, other = (of_layout[method] for of_layout in ran)
    assert plain.status == other.status == "done", (plain.reason, other.reason)
    for shift, scores in plain.scores.items():
        # sums in another order make 3 · 10⁻⁶ here; elsewhere an input may come to the next of 256 levels
        assert other.scores[shift]["nll"].value == pytest.approx(scores["nll"].value, rel=1e-4), shift
