"""Whole commands on toy cells: what is chosen, what is kept, and other tasks."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from flatqat import registry
from flatqat.bench.records.files import arrays_as_bytes
from flatqat.bench.records.remove import remove
from flatqat.bench.records.store import Store
from flatqat.bench.sensitivity import stored
from flatqat.bench.sensitivity.as_data import as_csv, as_data
from flatqat.bench.sensitivity.differences import ID, OOD
from flatqat.bench.sensitivity.measure import Measure
from flatqat.bench.sensitivity.measurements import Measurements
from flatqat.bench.sensitivity.options import Options
from flatqat.bench.sensitivity.switches import Form
from flatqat.errors import StoreError
from flatqat.metrics.miou import pseudo_values
from flatqat.quant.allocate import harm_of
from flatqat.quant.apply import by_layer
from flatqat.spec import QuantSpec
from tests.helpers import HELPERS
from tests.helpers.plugins import plugins_removed, registered
from tests.helpers.sensitivity_runs import opened, run, store

BUDGET = Options(bits="3", limit=32, bops="4-bit", choices=("8", "4", "3"), choose_on="worst-family")
APART = replace(BUDGET, choose_on="held-apart", choices=("8", "3"))

SEGMENTATION = Options(bits="2", limit=12, average_bits=4, choices=("8", "3"), choose_on="held-apart")


@pytest.fixture(scope="module")
def found(cells):
    return run(cells, BUDGET)


@pytest.fixture(scope="module")
def apart(cells):
    """Bits of each layer that are not uniform, chosen on the corruptions that are held apart."""
    return run(cells, APART)


def test_shifted_images_do_not_change_what_is_proposed(cells, apart, tmp_path):
    """The toy suite with shifts of nothing but noise, measured from scratch in another folder."""
    toy = registry.load(registry.SUITES, "toy")

    def noise(root):
        data = toy.shifts[0].build(root)
        return data.map(lambda images, ids: torch.randint_like(images, 0, 256))

    shifts = (toy.shifts[0], *(replace(shift, build=noise) for shift in toy.shifts[1:]))
    (tmp_path / "records").symlink_to(cells / "records")
    (tmp_path / "weights").symlink_to(cells / "weights")
    with registered(registry.SUITES, "toy", replace(toy, shifts=shifts)):
        other = run(tmp_path, APART)
    assert other.checked.proposal == apart.checked.proposal
    assert len(set(apart.checked.proposal.by_unit.values())) == 2
    sweep = next(iter(apart.sweeps))
    assert other.sweeps[sweep][0].base[OOD].value < apart.sweeps[sweep][0].base[OOD].value - 20


def test_measurements_of_other_images_are_not_taken_for_those_of_these(cells, found, tmp_path, monkeypatch):
    """In a folder that does not say which images it is of."""
    for name in ("records", "weights", "sensitivity"):
        shutil.copytree(cells / name, tmp_path / name)
    measured = []
    whole = Measure.sweep
    monkeypatch.setattr(
        Measure,
        "sweep",
        lambda self, images, *rest: measured.append(images.name) or whole(self, images, *rest),
    )
    run(tmp_path, BUDGET)
    assert measured == []
    monkeypatch.setattr("flatqat.bench.cell.same_images.fingerprint_of", lambda suite, root: "12345678")
    found = run(tmp_path, replace(BUDGET, bops=None))
    assert measured == [one.name for one in found.sets]
    assert as_data(found, 1)["protocol"]["data"] == "12345678"


def test_measurements_by_other_code_of_a_quantizer_are_not_taken_for_those_of_this(
    cells, tmp_path, monkeypatch
):
    for name in ("records", "weights"):
        (tmp_path / name).symlink_to(cells / name)
    measured, whole = [], Measure.sweep
    monkeypatch.setattr(
        Measure,
        "sweep",
        lambda self, images, *rest: measured.append(images.name) or whole(self, images, *rest),
    )
    file, text = tmp_path / "own.py", "from flatqat.quant.lsq import QUANTIZER as L\nclass QUANTIZER(L): {}\n"
    options = Options(bits="3@own", limit=8, layers=("conv1",))

    def sets(body):
        """How many sets were measured anew with this code."""
        measured.clear()
        file.write_text(text.format(body))
        registry.forget_edited()
        registry.add_plugin(file)
        run(tmp_path, options)
        return len(measured)

    with plugins_removed():
        assert sets("pass") > 0
        assert sets("pass") == 0
        assert sets("version = 2") > 0
    newer = type("Newer", (registry.load(registry.QUANTIZERS, "lsq"),), {"version": 2})
    with registered(registry.QUANTIZERS, "lsq", newer):
        assert Form(spec=QuantSpec.parse("3")).bits == "3 v2"


def test_a_proposal_is_within_its_budget_and_its_harm_is_the_sum_of_what_was_measured(cells, found):
    proposal = found.checked.proposal
    assert proposal.cost <= found.checked.budget.value * (1 + 1e-9)
    assert str(proposal.uniform) == "4"
    assert proposal.uniform_cost == pytest.approx(found.checked.budget.value)
    harms = []
    for images in found.checked.choosing:
        of_bits = [found.opened.kept.read(images, f"one both {bits}") for bits in found.checked.choices]
        harms.append([one.divergence[1:].mean(axis=1) for one in of_bits])
    harm = np.array(harms).transpose(2, 1, 0)
    chosen = [found.checked.choices.index(spec) for spec in proposal.by_unit.values()]
    assert proposal.harm == pytest.approx(harm_of(harm, chosen))
    greedy = run(cells, replace(BUDGET, solver="greedy", check=False)).checked.proposal
    assert greedy.harm >= proposal.harm - 1e-12


def test_the_harm_on_what_is_held_apart_is_the_mean_of_its_corruptions(apart):
    assert len(apart.checked.choosing) == 4
    harms, proposal = [], apart.checked.proposal
    for images in apart.checked.choosing:
        harms.append(0.0)
        for unit, bits in proposal.by_unit.items():
            kept = apart.opened.kept.read(images, f"one both {bits}")
            harms[-1] += kept.divergence[kept.networks.index(unit)].mean()
    assert proposal.harm == pytest.approx(np.mean(harms))
    assert proposal.harm < 0.99 * max(harms)


def test_the_measured_harm_is_the_divergence_of_the_whole_proposal_on_clean_images(cells, apart):
    proposal = apart.checked.proposal
    uniform = by_layer(list(apart.opened.switches.layers), proposal.uniform)
    assert any(Form(spec=uniform[unit]).bits != Form(spec=s).bits for unit, s in proposal.by_unit.items())
    forms = {unit: Form(spec=spec) for unit, spec in proposal.by_unit.items()}
    expected = _divergence(cells, forms, apart.sets[0]).mean()
    assert expected > 1e-3
    assert apart.checked.divergence == pytest.approx(expected, abs=2e-6)  # float32 predictions


def test_the_check_is_the_difference_of_the_differences(apart):
    against, beside = apart.checked.against_reference, apart.checked.against_uniform
    assert against.networks == ("uniform", "proposal")
    assert apart.checked.divergence > 0
    for on in (ID, OOD, "noise"):
        uniform, proposal = (one.value for one in against.deltas[on])
        assert beside.deltas[on][0].value == pytest.approx(proposal - uniform)


def test_nothing_is_measured_twice(cells, found, monkeypatch):
    for step in ("prepare", "sweep", "whole"):
        monkeypatch.setattr(Measure, step, lambda *_: pytest.fail("a network ran"))
    again = run(cells, BUDGET)
    assert as_csv(again) == as_csv(found)
    assert as_data(again, 1) == as_data(found, 1)
    other = replace(BUDGET, bops=None, average_bits=5.0, choices=("8", "3"), solver="greedy", check=False)
    assert run(cells, other).checked.proposal.cost <= 5


def test_what_is_kept_is_read_once(cells, found, monkeypatch):
    read = []
    read_arrays = stored.read_arrays
    monkeypatch.setattr(stored, "read_arrays", lambda path, fix: read.append(path) or read_arrays(path))
    run(cells, BUDGET)
    assert len(read) == len(set(read)) > 3


def test_names_of_layers_are_no_formulas_in_csv(found):
    sweep, (table, agreed) = next(iter(found.sweeps.items()))
    units = found.opened.switches.units
    units["=1+2"] = units[table.networks[0]]
    try:
        formula = replace(table, networks=("=1+2", *table.networks[1:]))
        text = as_csv(replace(found, sweeps={sweep: (formula, agreed)}))
    finally:
        del units["=1+2"]
    assert {line["layer"] for line in csv.DictReader(text.splitlines())} == {"'=1+2", *table.networks[1:]}


def test_what_is_not_defined_is_empty_in_csv(found):
    sweep, (table, agreed) = next(iter(found.sweeps.items()))
    (first, *others) = table.deltas[OOD]
    deltas = {**table.deltas, OOD: [replace(first, value=float("nan")), *others]}
    lines = [
        *csv.DictReader(
            as_csv(replace(found, sweeps={sweep: (replace(table, deltas=deltas), agreed)})).split()
        )
    ]
    (line,) = (line for line in lines if line["on"] == OOD and line["layer"] == table.networks[0])
    assert [line[name] for name in ("delta", "low", "high", "p")] == [""] * 4
    assert int(line["images"]) == first.images


def test_an_interrupted_command_goes_on(cells, tmp_path, monkeypatch):
    (tmp_path / "records").symlink_to(cells / "records")
    (tmp_path / "weights").symlink_to(cells / "weights")
    seen, sweep = [], Measure.sweep

    def once(self, images, *rest):
        seen.append(images.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return sweep(self, images, *rest)

    monkeypatch.setattr(Measure, "sweep", once)
    options = Options(bits="3", limit=16)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, options)
    run(tmp_path, options)
    assert seen == ["id", "noise/2", "noise/2"]
    run(tmp_path, replace(options, layers=("conv1",)))
    assert len(seen) == 3


def test_a_quantized_cell_is_the_reference_itself(cells):
    got = run(cells, Options(limit=32, modes=("one", "all-but-one")), cell="tiny-ptq")
    assert str(got.bits) == "3"
    reference = got.opened.record.scores["noise/2"]["top1"].value
    whole = run(cells, Options(limit=96), cell="tiny-ptq")
    assert next(iter(whole.sweeps.values()))[0].base["noise"].value == pytest.approx(reference)


def test_workers_change_nothing(cells, found, tmp_path):
    (tmp_path / "records").symlink_to(cells / "records")
    (tmp_path / "weights").symlink_to(cells / "weights")
    assert as_csv(run(tmp_path, Options(bits="3", limit=32), workers=3)) == as_csv(found)


def test_segmentation(tmp_path):
    registry.add_plugin(HELPERS / "toy_map.py")
    folder = store(tmp_path, "toy-map", ("fp",), settings={"recipe": {"pretrain_steps": "10"}})
    got = run(folder, SEGMENTATION, "tiny-seg-fp")
    ((sweep, (table, _)),) = got.sweeps.items()
    images = got.sets[0]
    counts = got.opened.kept.read(images, sweep.name).outcome
    assert counts.shape == (1 + len(table.networks), 12, 2, 3)
    direct = 100 * (pseudo_values(counts[1]).mean() - pseudo_values(counts[0]).mean())
    assert table.deltas[ID][0].value == pytest.approx(direct)
    assert got.checked.proposal.cost <= 4
    changed = {table.networks[0]: sweep.switched}
    expected = _divergence(folder, changed, images, "tiny-seg-fp").mean(axis=(1, 2))  # over pixels
    found = got.opened.kept.read(images, sweep.name).divergence[1]
    assert found == pytest.approx(expected, abs=2e-6)  # float32 predictions
    assert expected.max() > 1e-3


def test_a_failing_set_keeps_nothing(cells, tmp_path, monkeypatch):
    (tmp_path / "records").symlink_to(cells / "records")
    (tmp_path / "weights").symlink_to(cells / "weights")
    monkeypatch.setattr(Measurements, "_work", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, Options(limit=16))
    assert not (tmp_path / "sensitivity").exists()


def test_damaged_files_are_told_and_removing_a_cell_removes_them(cells, tmp_path):
    for folder in ("records", "weights"):
        shutil.copytree(cells / folder, tmp_path / folder)
    got = run(tmp_path, Options(limit=16))
    files = sorted(got.opened.kept.folder.glob("id-*.npz"))
    files[0].write_bytes(arrays_as_bytes({"networks": np.array("[]")}))
    with pytest.raises(StoreError, match="expected what was measured of id, got others"):
        run(tmp_path, Options(limit=16))
    files[0].write_bytes(b"PK")
    expected = r"expected stored arrays, got a damaged file \(.*\); delete it and run the command again$"
    with pytest.raises(StoreError, match=expected):
        run(tmp_path, Options(limit=16))
    remove([got.opened.record], Store(tmp_path))
    assert not got.opened.kept.folder.exists()


def _divergence(folder, forms, images, cell="tiny-fp"):
    """sum_k p_k log(p_k / q_k) of each image or pixel; p is of the cell, q of its network with some forms."""
    one = opened(folder, cell)
    one.observe()
    logs = []
    for these in ({}, forms):
        one.switches.switch(these)
        with torch.no_grad():
            logits = one.switches.model.predict(images.data.batch(torch.arange(len(images.data)))[0])
        logs.append(logits.double().log_softmax(1).numpy())
    return (np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=1)
