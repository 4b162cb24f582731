"""The record of a cell has the cost of its network, which changes nothing else and costs no cell."""

from dataclasses import replace

import pytest
import torch

from flatqat.bench.cell.cell_cost import cost_of
from flatqat.bench.engine import recording
from flatqat.bench.plan.jobs import make_plan, members
from flatqat.bench.plan.request import Request
from flatqat.bench.records.record_json import parse_record, record_to_dict
from flatqat.bench.records.store import Store
from flatqat.console.progress import Progress
from flatqat.errors import StoreError
from flatqat.spec import Cell, Cost
from tests.helpers.running import run_plan

# tiny at 16 pixels: maps of 8x8, 8x8, 4x4 and 2x2, and four classes
STEM, HEAD = 27 * 16 * 64, 32 * 4
BODY = 144 * 16 * 64 + 144 * 32 * 16 + 288 * 32 * 4
BATCHNORM = 4 * (16 + 16 + 32 + 32)


class Said(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def request_(tmp_path_factory) -> Request:
    folder = tmp_path_factory.mktemp("cost")
    return Request(suites=("toy",), methods=("fp", "qat"), bits=("3",), seeds=(0,), results=folder, spaces=())


@pytest.fixture(scope="module")
def records(request_):
    return {record.cell.method: record for record in run_plan(make_plan(request_))}


def test_cells_whose_networks_are_alike_are_counted_once(request_, tmp_path, monkeypatch):
    counted = []

    def count(cell, *more):
        counted.append(cell.label)
        return cost_of(cell, *more)

    monkeypatch.setattr(recording, "cost_of", count)
    several = replace(request_, results=tmp_path, seeds=(0, 1), methods=("fp", "ptq", "qat"))
    found = run_plan(make_plan(several))
    assert len(found) == 6
    assert len(counted) == 2, "in floating point, and at 3 bits"
    assert all(r.cost == found[-1].cost for r in found if r.cell.method != "fp")


def test_a_record_has_the_cost_of_its_network_by_hand(records):
    macs = STEM + BODY + HEAD
    assert records["fp"].cost == Cost(
        image=(16, 16),
        macs=macs,
        bops=1024 * macs,
        weight_bytes=4 * (27 * 16 + 144 * 16 + 144 * 32 + 288 * 32 + HEAD),
        other_bytes=4 * (BATCHNORM + 4),
        activation_bytes=4 * 2 * 16 * 64,
        macs_by_bits={"w32a32": macs},
    )
    assert records["qat"].cost == Cost(
        image=(16, 16),
        macs=macs,
        bops=64 * (STEM + HEAD) + 9 * BODY,
        weight_bytes=27 * 16 + HEAD + 3 * (144 * 16 + 144 * 32 + 288 * 32) // 8,
        other_bytes=4 * (BATCHNORM + 4 + (16 + 16 + 32 + 32 + 4) + 5),  # and step sizes of weights and inputs
        activation_bytes=3 * 256 + 3 * 16 * 64 // 8,  # the image at 8 bits, and what the first stage reads
        macs_by_bits={"w3a3": BODY, "w8a8": STEM + HEAD},
    )


def test_a_cost_that_fails_leaves_the_record_without_it(request_, records, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        torch.rand(3)
        raise RuntimeError("no single image")

    monkeypatch.setattr(recording, "cost_of", fail)
    said = Said()
    plain = run_plan(make_plan(replace(request_, results=tmp_path)), said)
    assert any("no single image" in line for line in said.lines)
    for record in plain:
        first = records[record.cell.method]
        assert (record.status, record.cost) == ("done", None)
        assert record.cell.id == first.cell.id
        assert dict(record.scores) == dict(first.scores), "a cost changes no number"
        assert record.outcomes_sha256 == first.outcomes_sha256


def test_records_with_and_without_a_cost_are_read_as_they_were_written(request_, records):
    path = Store(request_.results).record_path(records["qat"].cell)
    data = record_to_dict(records["qat"])
    assert parse_record(dict(data), path) == records["qat"]
    older = {name: value for name, value in data.items() if name != "cost"}
    assert parse_record(dict(older), path).cost is None
    assert record_to_dict(parse_record(dict(older), path)) == older
    for wrong, what in (({**data["cost"], "bops": -1}, "a negative one"), ({}, "image: expected a value")):
        with pytest.raises(StoreError, match=rf"cost.*{what}"):
            parse_record({**data, "cost": wrong}, path)


def test_a_window_counts_at_all_its_positions():
    """Two halves of an image have the MACs of the whole in twice the calls, and half of its activations."""
    (suite,) = members("streets", 0)
    cell = Cell(
        suite="streets", suite_version=1, model="tiny-seg", method="qat", quant="4", recipe="r", seed=0
    )
    whole = cost_of(cell, suite, None)
    height, width = whole.image
    assert (height, width) == tuple(suite.shifts[0].build(None).fetch(torch.arange(1)).shape[-2:])
    halves = cost_of(replace(cell, window=f"{height}x{width // 2}:{height}x{width // 2}"), suite, None)
    convolution = next(iter(whole.layers))
    assert halves.layers[convolution].macs == whole.layers[convolution].macs
    assert len(halves.layers[convolution].calls) == 2 * len(whole.layers[convolution].calls)
    assert halves.total().activation_bytes < whole.total().activation_bytes
    assert halves.total().weight_bytes == whole.total().weight_bytes
