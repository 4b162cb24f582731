"""Cells whose activations alone are quantized: what runs, what is skipped, what records and tables say."""

from pathlib import Path

import pytest

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.console.progress import Progress
from flatqat.spec import Record
from tests.helpers.running import run_plan

ABOUT_WEIGHTS = ("anchor", "dampen", "freeze", "adaround")


class Heard(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Record], Store, list[str]]:
    """Records by method, the results, and what was said."""
    folder = tmp_path_factory.mktemp("results")
    methods = ("fp", "ptq", "qat", "sam", "saq", *ABOUT_WEIGHTS)
    request = Request(
        suites=("toy",), methods=methods, bits=("w32a3",), seeds=(0,), results=folder, spaces=("quantized",)
    )
    heard = Heard()
    records = run_plan(make_plan(request), heard)
    return {record.cell.method: record for record in records}, Store(folder), heard.lines


def test_weights_stay_as_they_are_and_inputs_are_rounded(ran) -> None:
    records, _, _ = ran
    for method in ("ptq", "qat", "sam", "saq"):
        record = records[method]
        assert (record.status, record.cell.quant) == ("done", "w32a3")
        audit = record.train.audit
        assert audit["quantized"] == 5
        assert [name.rpartition(" ")[2] for name in audit["floating"]] == 5 * ["weight"]
        assert audit["most_codes"]["3"] <= 8 < audit["most_codes"]["8"]
        assert set(record.cost.macs_by_bits) == {"w32a3", "w32a8"}
        assert record.cost.weight_bytes == records["fp"].cost.weight_bytes
        assert record.cost.bops < records["fp"].cost.bops
        assert record.flatness.quantized.lambda_max.value > 0
    assert records["ptq"].scores != records["fp"].scores


def test_methods_that_only_round_weights_otherwise_are_skipped(ran) -> None:
    records, _, _ = ran
    for method in ABOUT_WEIGHTS:
        assert records[method].status == "skipped"
        what, fix = f"{method} only changes how weights are rounded", "use bits such as 4 or w4a8"
        assert records[method].reason == f"{what}, and w32a3 rounds none; {fix}"


def test_they_run_where_a_layer_has_bits_of_its_own_and_in_floating_point() -> None:
    for changes in ({"bits": ("w32a3",), "layer_bits": ("stage2.0=w3a3",)}, {"bits": ("fp", "w3")}):
        request = Request(
            suites=("toy",), methods=ABOUT_WEIGHTS, seeds=(0,), results=Path("nowhere"), **changes
        )
        assert not any(job.skip for job in make_plan(request).jobs)


def test_nobody_is_warned_of_weights_that_the_bits_leave_alone(ran) -> None:
    _, store, said = ran
    assert not [line for line in said if "left in floating point" in line]
    assert "‡" not in render(store, None, "md", "method") + render(store, None, "md", "shift")
