"""The gate on weights that are not trained again: both sides must evaluate the same."""

import json
from dataclasses import replace
from itertools import count

import pytest
import torch
from safetensors.torch import save_file

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.gate.check import check
from flatqat.bench.gate.compare import Rules
from flatqat.bench.gate.weights import weights_digest
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.exit_codes import INCOMPLETE, OK, REGRESSED
from tests.helpers.gate_records import CELL, flipped, outcomes, store_with

_times = count()


def put(folder, cell, right=None, **fields):
    return store_with(folder, right or outcomes(), cell, **fields)


def weights(store, cell, data: bytes, which="selected"):
    """A safetensors file of one tensor, whose metadata has the time."""
    header = {"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    text = json.dumps({"__metadata__": {"time": str(next(_times))}, **header}).encode()
    store.weights_path(cell).parent.mkdir(exist_ok=True)
    store.weights_path(cell, which).write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_evaluation_only_demands_the_same_weights_on_both_sides(tmp_path):
    path, rules = tmp_path / "b.json", Rules(evaluation_only=True)
    seeds = [replace(CELL, seed=s) for s in (0, 1)]
    for cell in seeds:
        weights(put(tmp_path / "old", cell, outcomes(cell.seed)), cell, b"abc")
    write_baseline(Store(tmp_path / "old"), path)
    for cell in seeds:
        slightly = {s: flipped(right, lost=30) for s, right in outcomes(cell.seed).items()}
        weights(put(tmp_path / "new", cell, slightly), cell, b"abc")
    new = Store(tmp_path / "new")
    done = check(new, path, rules)
    assert (done.code, done.missing) == (REGRESSED, [])
    of_images, of_trainings = (
        next(v.p for v in c.verdicts if v.what == "id") for c in (done, check(new, path))
    )
    assert of_images < 1e-4 < 0.01 < of_trainings

    weights(new, seeds[1], b"abd")
    done = check(new, path, rules)
    ((cell, reason),) = done.missing
    assert cell == "qat 4"
    assert reason.startswith("seed 1: the weights differ: ")
    assert {(v.seeds_before, v.seeds_now) for v in done.verdicts} == {(1, 1)}
    weights(new, seeds[1], b"abc")
    weights(new, seeds[1], b"xyz", "last")
    assert "the weights differ" in check(new, path, rules).missing[0][1]
    new.weights_path(seeds[1]).unlink()
    assert check(new, path, rules).missing == [
        ("qat 4", "seed 1: the results folder does not hold its weights")
    ]


def test_evaluation_only_pairs_seeds(tmp_path):
    path = tmp_path / "b.json"
    weights(put(tmp_path / "old", CELL), CELL, b"abc")
    write_baseline(Store(tmp_path / "old"), path)
    other = replace(CELL, seed=1)
    weights(put(tmp_path / "new", other), other, b"abc")
    done = check(Store(tmp_path / "new"), path, Rules(evaluation_only=True))
    assert (done.code, done.missing) == (INCOMPLETE, [("qat 4", "seed 0: not in the results")])


@pytest.mark.parametrize("start", [{"weights": "a" * 64}, {"parent": "c" * 12}])
def test_a_cell_without_a_step_evaluates_the_weights_that_it_starts_from(tmp_path, start):
    """Its own file has what calibration made, which may be the code that is gated."""
    cell, path = replace(CELL, method="ptq", **start), tmp_path / "b.json"
    for folder, own in (("old", b"abc"), ("new", b"abd")):
        store = put(tmp_path / folder, cell, steps=0)
        weights(store, cell, own)
        if cell.parent:
            store.weights_path(cell).rename(store.root / "weights" / "own")
            weights(store, cell, b"parent")
            store.weights_path(cell).rename(store.root / "weights" / f"{cell.parent}.safetensors")
    write_baseline(Store(tmp_path / "old"), path)
    done = check(Store(tmp_path / "new"), path, Rules(evaluation_only=True))
    assert (done.code, done.missing) == (OK, [])


def test_another_entry_of_a_file_is_another_start(tmp_path):
    cells = [replace(CELL, method="ptq", weights=f"{'a' * 64}#{entry}") for entry in ("model", "ema")]
    path = tmp_path / "b.json"
    put(tmp_path / "old", cells[0], steps=0)
    write_baseline(Store(tmp_path / "old"), path)
    put(tmp_path / "new", cells[1], steps=0)
    done = check(Store(tmp_path / "new"), path, Rules(evaluation_only=True))
    why = f"seed 0: the weights differ: {'a' * 16}#model → {'a' * 16}#ema"
    assert (done.code, done.missing) == (INCOMPLETE, [("ptq 4", why)])


@pytest.mark.parametrize("data", [b"", b"x" * 7, (2**63).to_bytes(8, "little"), b"\x02" + bytes(7) + b"[]"])
def test_damaged_weights_are_refused(tmp_path, data):
    path = tmp_path / "b.json"
    store = put(tmp_path / "old", CELL)
    weights(store, CELL, b"abc")
    write_baseline(store, path)
    store.weights_path(CELL).write_bytes(data)
    with pytest.raises(StoreError, match="got a damaged file; run the cell again with --rerun"):
        check(store, path, Rules(evaluation_only=True))


def test_the_digest_is_of_the_tensors_and_their_names(tmp_path):
    """Neither of the time nor of anything else in the metadata; torch's own writer gives the same."""
    store = put(tmp_path / "old", CELL)
    weights(store, CELL, bytes(range(8)))
    record = store.record(CELL)
    first = weights_digest(record, store)
    weights(store, CELL, bytes(range(8)))
    assert weights_digest(record, store) == first
    tensor = torch.arange(8, dtype=torch.uint8)
    for name, same in (("w", True), ("v", False)):
        save_file({name: tensor}, store.weights_path(CELL), metadata={"train": "{}"})
        assert (weights_digest(record, store) == first) is same
    save_file({"w": tensor.view(2, 4)}, store.weights_path(CELL))
    assert weights_digest(record, store) != first
