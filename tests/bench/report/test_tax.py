"""The tax of every method against differences and intervals computed by hand from outcomes."""

from dataclasses import replace

import numpy as np
import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.by_shift import shift_columns
from flatqat.bench.report.render import load
from flatqat.bench.report.tax import ood_taxes, quantities, tax_columns, taxes
from tests.helpers import RESULTS
from tests.helpers.errors_by_hand import by_hand
from tests.helpers.study_records import CELL, SEEDS, planted, put, right_of

FP = replace(CELL, method="fp", quant="fp")
OOD_SHIFTS = ("fog/1", "snow/1", "blur/1")


@pytest.fixture
def two(tmp_path):
    """Full precision and one method, whose scatter over seeds nothing is pooled with."""
    store, outcomes = Store(tmp_path), {}
    for place, cell in enumerate((FP, CELL)):
        for seed in SEEDS:
            right = right_of(seed, 0.05, {"weather": -0.05 * place}, [place])
            put(store, replace(cell, seed=seed), right)
            outcomes[cell.method, seed] = right
    (section,) = load(store, None)
    return section, store, outcomes


def test_value_and_interval_are_those_of_paired_images(two):
    section, store, outcomes = two
    found = taxes(section, store)
    sets = {"ID": ("id",), "OOD": OOD_SHIFTS, "fog": ("fog/1",), "spatter/1": ("spatter/1",)}
    for name, shifts in sets.items():
        lost = [
            np.mean([100.0 * outcomes["qat", s][k] - 100.0 * outcomes["fp", s][k] for k in shifts], axis=0)
            for s in SEEDS
        ]
        expected = by_hand([np.array(lost)])
        tax = found[name]["qat", "4"]
        # the sums of a thousand terms are added in another order
        assert tax.value == pytest.approx(expected.value, abs=1e-9)
        assert (tax.low, tax.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_seeds_with_images_of_their_own_have_all_error_in_their_scatter(two):
    section, store, _ = two
    own = {
        key: [replace(record, protocol=replace(record.protocol, split="-own")) for record in records]
        for key, records in section.rows.items()
    }
    section = replace(section, rows=own)
    assert taxes(section, store)["OOD"]["qat", "4"].image_variance == 0
    assert ood_taxes([section], store)["qat", "4"].image_variance == 0


def test_the_sets_are_id_ood_corruptions_and_shifts(two):
    record = two[0].rows["qat", "4"][0]
    corruptions = ("blur", "fog", "snow", "spatter")
    assert list(quantities(record)) == ["ID", "OOD", *corruptions, *(f"{name}/1" for name in corruptions)]
    assert quantities(record)["OOD"] == dict.fromkeys(OOD_SHIFTS, pytest.approx(1 / 3))


def test_taxes_are_the_differences_of_the_tables_scores():
    store = Store(RESULTS / "first-look")
    (section,) = load(store, None)
    scores, tax = shift_columns(section, "shift", store), tax_columns(section, taxes(section, store))
    assert list(tax) == [f"{row}{end}" for row in ("qat 4", "anchor 4") for end in ("", " low", " high")]
    for shift, value in scores["fp"].items():
        if shift not in ("id", "val"):
            assert tax["qat 4"][shift] == pytest.approx(scores["qat 4"][shift] - value, abs=1e-9)
            assert tax["qat 4 low"][shift] < tax["qat 4"][shift] < tax["qat 4 high"][shift]
    assert tax["qat 4"]["ID"] == pytest.approx(scores["qat 4"]["id"] - scores["fp"]["id"], abs=1e-9)


def test_the_tax_in_ood_is_that_of_one_section(tmp_path):
    store = planted(tmp_path)
    (section,) = load(store, None)
    assert ood_taxes([section], store) == taxes(section, store)["OOD"]


def test_of_several_sections_it_is_the_mean(tmp_path):
    store = Store(tmp_path)
    for place, suite in enumerate(("f@a", "f@b")):
        for method in (FP, CELL):
            right = right_of(0, 0.05, {"weather": -0.03 * (place + 1) * (method is CELL)}, [place])
            put(store, replace(method, suite=suite), right)
    members = load(store, None)
    one = [taxes(member, store)["OOD"]["qat", "4"].value for member in members]
    assert ood_taxes(members, store)["qat", "4"].value == pytest.approx(np.mean(one), abs=1e-9)


def test_nothing_is_known_without_a_reference_or_outcomes(tmp_path):
    store = Store(tmp_path)
    put(store, CELL, right_of(0, 0.1, {}, [1]))
    (section,) = load(store, None)
    assert taxes(section, store) == {}
    assert ood_taxes([section], store) == {}
    fp = put(store, FP, right_of(0, 0.1, {}, [2]))
    store.outcomes_path(fp.cell).unlink()
    store.write_record(replace(fp, outcomes_sha256=""))
    (section,) = load(store, None)
    assert not any(taxes(section, store).values())
