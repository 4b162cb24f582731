"""The page of the second study: nothing is read before a look is complete, and answers follow the plan."""

from dataclasses import replace

import pytest

from flatqat.bench.records.store import Store
from flatqat.metrics.estimate import Estimate
from scripts import study_2_page as module
from tests.helpers import study_records
from tests.helpers.study_records import CELL, right_of

GAINS = {"4": 0.0, "3": 0.04, "2": -0.04}


def cells(store: Store, seeds: range) -> Store:
    """The anchor is as good as QAT at 4 bits, better by 4 points at 3 and worse at 2."""
    for bits, gain in GAINS.items():
        for seed in seeds:
            for method in ("qat", "anchor"):
                gains = dict.fromkeys(("weather", "blur"), gain * (method == "anchor"))
                cell = replace(CELL, suite=module.SUITE, method=method, quant=bits, seed=seed)
                study_records.put(store, cell, right_of(seed, 0.02, gains, [ord(method[0])]))
    return store


def test_answers_are_those_that_were_planted(tmp_path):
    (section,) = module.sections(cells(Store(tmp_path), range(8)).records())
    found = module.contrasts(section, Store(tmp_path))
    assert {c.bits: c.answer for c in found} == {"4": "as good", "3": "better", "2": "worse"}
    for contrast in found:
        runs = {name: section.rows[name, contrast.bits] for name in ("qat", "anchor")}
        ood = {
            name: sum(r.scores[s]["top1"].value for r in of_row for s in ("fog/1", "snow/1", "blur/1")) / 24
            for name, of_row in runs.items()
        }
        assert contrast.levels == pytest.approx(ood)
        assert contrast.ood.value == pytest.approx(ood["anchor"] - ood["qat"])
        assert contrast.level == 0.02
    text = module.page(Store(tmp_path))
    assert text == module.page(Store(tmp_path))
    assert "**3 bits: anchor-QAT is better than QAT.** OOD top-1 +" in text
    assert "**2 bits: anchor-QAT is worse than QAT.** OOD top-1 -" in text


def test_the_p_value_of_three_is_corrected_for_three(tmp_path):
    (section,) = module.sections(cells(Store(tmp_path), range(8)).records())
    found = module.contrasts(section, Store(tmp_path))
    smallest = min(c.ood.p for c in found)
    assert min(c.p for c in found) == pytest.approx(min(1, 3 * smallest))


def test_nothing_is_read_before_a_look_is_complete(tmp_path):
    store = cells(Store(tmp_path), range(7))
    (section,) = module.sections(store.records())
    assert module.contrasts(section, store) == []
    with pytest.raises(SystemExit, match="expected all seeds of a look"):
        module.page(store)
    cells(store, range(12))  # the first four of the second look are read by nobody
    (section,) = module.sections(store.records())
    assert {c.ood.seeds for c in module.contrasts(section, store)} == {8}


def test_a_second_look_is_taken_where_the_first_left_something_open(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "AS_GOOD", 0.0)  # so that 4 bits stay undecided
    store = cells(Store(tmp_path), range(24))
    (section,) = module.sections(store.records())
    found = {c.bits: c for c in module.contrasts(section, store)}
    assert {bits: c.ood.seeds for bits, c in found.items()} == {"4": 24, "3": 8, "2": 8}
    assert (found["4"].level, found["4"].p) == (0.03, found["4"].ood.p)  # the two before are rejected first


def test_what_was_as_good_counts_in_the_correction_of_the_second_look(tmp_path, monkeypatch):
    monkeypatch.setattr(
        module, "LOOKS", ((range(8), 0.0), (range(24), 0.03))
    )  # the first look rejects nothing
    store = cells(Store(tmp_path), range(24))
    (section,) = module.sections(store.records())
    found = {c.bits: c for c in module.contrasts(section, store)}
    assert {bits: c.ood.seeds for bits, c in found.items()} == {"4": 8, "3": 24, "2": 24}
    first, second = sorted((found["3"], found["2"]), key=lambda c: c.ood.p)
    assert first.p == pytest.approx(3 * first.ood.p)
    assert second.p == pytest.approx(max(first.p, 2 * second.ood.p))


def test_other_parts_of_the_study_do_not_stop_the_page(tmp_path):
    store = cells(Store(tmp_path), range(8))
    before = module.page(store)
    cell = replace(CELL, suite=module.SUITE, recipe_args=(("steps", 100),), limit=100)
    study_records.put(store, cell, right_of(0, 0.1, {}, [1]))
    assert module.page(store) == before


@pytest.mark.parametrize(
    ("value", "stderr", "p", "answer"),
    [
        (0.9, 0.1, 0.019, "better"),
        (-0.9, 0.1, 0.019, "worse"),
        (0.1, 0.1, 0.021, "as good"),
        (0.9, 0.1, 0.021, "undecided"),
        (-0.9, 0.1, 0.021, "undecided"),
        (0.0, 2.0, 1.0, "undecided"),
    ],
)
def test_an_answer_is_by_p_then_by_the_interval(value, stderr, p, answer):
    of = Estimate(
        value=value,
        seed_variance=stderr**2,
        image_variance=0.0,
        seed_freedom=7,
        image_freedom=1999,
        seeds=8,
        images=2000,
    )
    contrast = module.Contrast(bits="3", ood=of, id=of, levels={}, p=p, level=0.02, tests=3)
    assert contrast.answer == answer
