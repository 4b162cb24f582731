"""The page of the second study: nothing is read before a look is complete, and what was planted is found."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from flatqat.bench.records.store import Store
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.rank import permuted_sd, rank_correlation
from flatqat.spec import Cell, Flatness, Record
from scripts.study_2 import (
    adapted,
    choice,
    configurations,
    contrast,
    controls,
    flatness,
    pacs,
    pacs_search,
    page,
    pretrained,
    rows,
    tax,
)
from scripts.study_2.figure import figure
from scripts.study_2.rows import BITS, LIMIT, MODEL, STEPS, SUITE, Row, Rows
from tests.helpers.records import (
    environment,
    margins_of,
    protocol,
    scores_of,
    shift_info,
    space_flatness,
    train_log,
)

CELL = Cell(
    suite=SUITE,
    suite_version=1,
    model=MODEL,
    method="qat",
    quant="4",
    recipe="b",
    seed=0,
    limit=LIMIT,
    recipe_args=(("steps", STEPS),),
)
SHIFTS = {
    "id": shift_info("id"),
    **{
        f"{name}/{severity}": shift_info(family, severity=severity)
        for name, family in (("impulse_noise", "noise"), ("fog", "weather"), ("glass_blur", "blur"))
        for severity in (1, 3, 5)
    },
}
SHARE = {shift: 0.9 - 0.1 * (info.severity or 0) for shift, info in SHIFTS.items()}
N = 500
GAINS = {"4": 0.0, "3": 0.04, "2": -0.04}


def put(store: Store, cell: Cell, gain: Mapping[str, float], measured: Flatness | None = None) -> None:
    """Store a run on images whose difficulty all runs share; `gain` is in fractions, by shift.

    Runs of a search have `val`, too.
    """
    val = {"val": shift_info("val", image_set="val", in_mean=False)} if cell.seed == choice.SEED else {}
    shifts = SHIFTS | val
    difficulty = np.random.default_rng(0).random(N)
    rng = np.random.default_rng([cell.seed, *cell.training_id.encode()])
    right = {
        shift: difficulty + 0.02 * rng.standard_normal(N) < share + gain.get(shift, 0.0)
        for shift, share in {**SHARE, **dict.fromkeys(val, 0.9)}.items()
    }
    record = Record(
        cell=cell,
        status="done",
        scores=scores_of(right),
        flatness=measured or Flatness(),
        train=train_log(),
        protocol=protocol(
            shifts,
            reference=cell.method == "fp",
            split=f"-s{cell.seed}" if cell.suite.startswith("pacs@") else "",
        ),
        env=environment(),
    )
    store.write_record(record, margins_of(right))


def put_failed(store: Store, cell: Cell) -> None:
    record = Record(cell=cell, status="failed", reason="loss is not finite", env=environment())
    store.write_record(record, None)


CONTROLS_OF_PACS = [(pacs.CONTROL, "fp"), (pacs.CONTROL, "w7a32")]
LITE0 = {"model": pretrained.MODEL, "limit": None, "recipe_args": ()}


def put_row(
    store: Store, method: str, bits: str, seeds: Iterable[int], gain: Mapping[str, float], **fields
) -> None:
    for seed in seeds:
        put(store, replace(CELL, method=method, quant=bits, seed=seed, **fields), gain)


def under_shift(gain: float) -> dict[str, float]:
    return dict.fromkeys([shift for shift in SHIFTS if shift != "id"], gain)


def contrasted(store: Store, seeds: range) -> Store:
    """The anchor is as good as QAT at 4 bits, better by 4 points at 3 and worse at 2."""
    for bits, gain in GAINS.items():
        put_row(store, "qat", bits, seeds, {})
        put_row(store, "anchor", bits, seeds, under_shift(gain))
    return store


def found_in(store: Store) -> dict[str, contrast.Contrast]:
    return {c.bits: c for c in contrast.contrasts(Rows.of_cifar(store))}


def ood(store: Store, method: str, bits: str) -> float:
    """OOD of a row from its scores, another way than through outcomes."""
    of_row = Rows.of_cifar(store).records[Row(method, bits)].values()
    values = [r.scores[shift]["top1"].value for r in of_row for shift in SHIFTS if shift != "id"]
    return float(np.mean(values))


def test_answers_are_those_that_were_planted(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    found = found_in(store)
    assert {bits: c.answer for bits, c in found.items()} == {"4": "as good", "3": "better", "2": "worse"}
    for bits, c in found.items():
        assert (c.qat, c.anchor) == pytest.approx((ood(store, "qat", bits), ood(store, "anchor", bits)))
        assert c.ood.value == pytest.approx(c.anchor - c.qat)
        assert c.level == 0.02
    text = page.page(store)
    assert text == page.page(store)
    assert "**3 bits: anchor-QAT is better than QAT.** OOD top-1 +" in text
    assert "**2 bits: anchor-QAT is worse than QAT.** OOD top-1 -" in text
    for words in page.MISSING.values():
        assert words in text


def test_the_p_value_of_three_is_corrected_for_three(tmp_path):
    found = found_in(contrasted(Store(tmp_path), range(8))).values()
    smallest = min(c.ood.p for c in found)
    assert min(c.p for c in found) == pytest.approx(min(1, 3 * smallest))


def test_nothing_is_read_before_a_look_is_complete(tmp_path):
    store = contrasted(Store(tmp_path), range(7))
    assert found_in(store) == {}
    with pytest.raises(SystemExit, match="expected all seeds of a look"):
        page.page(store)
    contrasted(store, range(12))  # the first four of the second look are read by nobody
    assert {c.ood.seeds for c in found_in(store).values()} == {8}


def test_a_second_look_is_taken_where_the_first_left_something_open(tmp_path, monkeypatch):
    monkeypatch.setattr(contrast, "AS_GOOD", 0.0)  # so that 4 bits stay undecided
    found = found_in(contrasted(Store(tmp_path), range(24)))
    assert {bits: c.ood.seeds for bits, c in found.items()} == {"4": 24, "3": 8, "2": 8}
    assert (found["4"].level, found["4"].p) == (0.03, found["4"].ood.p)  # the two before are rejected first


def test_what_was_as_good_counts_in_the_correction_of_the_second_look(tmp_path, monkeypatch):
    looks = ((range(8), 0.0), (range(24), 0.03))  # the first look rejects nothing
    monkeypatch.setattr(contrast, "LOOKS", looks)
    found = found_in(contrasted(Store(tmp_path), range(24)))
    assert {bits: c.ood.seeds for bits, c in found.items()} == {"4": 8, "3": 24, "2": 24}
    first, second = sorted((found["3"], found["2"]), key=lambda c: c.ood.p)
    assert first.p == pytest.approx(3 * first.ood.p)
    assert second.p == pytest.approx(max(first.p, 2 * second.ood.p))


def test_runs_of_other_settings_or_networks_are_no_part_of_the_rows(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    before = page.page(store)
    put(store, replace(CELL, recipe_args=(("steps", 100),)), under_shift(0.3))
    put(store, replace(CELL, limit=100), under_shift(0.3))
    put(store, replace(CELL, recipe_args=(("lr", 0.1), ("steps", STEPS))), under_shift(0.3))
    put(store, replace(CELL, model="cifar:resnet32"), under_shift(0.3))
    assert page.page(store) == before


def test_two_runs_of_one_row_and_seed_are_refused(tmp_path):
    store = contrasted(Store(tmp_path), range(1))
    put(store, replace(CELL, weights="0" * 64), {})
    with pytest.raises(SystemExit, match="expected one run a seed"):
        Rows.of_cifar(store)


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
    found = contrast.Contrast(bits="3", ood=of, id=of, qat=60.0, anchor=60.0, p=p, level=0.02, tests=3)
    assert found.answer == answer


def test_an_interval_without_zero_that_decides_nothing_is_explained(tmp_path, monkeypatch):
    store = contrasted(Store(tmp_path), range(8))
    assert "the 95% interval excludes zero" not in page.page(store)
    monkeypatch.setattr(contrast, "LOOKS", ((range(8), 0.0),))
    assert "At 3 bits and 2 bits the 95% interval excludes zero" in page.page(store)


def searched(store: Store, gains: Mapping[float | None, float]) -> None:
    """Store the search for the strength of dual: by strength, or None at its default, the gain on `val`."""
    for strength, gain in gains.items():
        args = (("coupling", "dual"), *([("strength", strength)] if strength else []))
        put_row(store, "anchor", "3", (choice.SEED,), {"val": gain}, method_args=args)


def test_controls_are_tested_on_all_their_seeds_and_corrected_over_the_plan(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    put_row(store, "ema", "3", range(4), under_shift(0.05))
    put_row(store, "sam", "3", range(4), {})
    put_row(store, "qat", "3", range(4), under_shift(-0.05), step_multiplier=2)
    alone = {c.row.method: c.estimate for c in controls.controls(Rows.of_cifar(store), "3")}
    searched(store, {None: 0.0, 0.01: 0.05})
    assert "on `val`" not in "\n".join(controls.part(Rows.of_cifar(store)).lines)  # one of three is missing
    searched(store, {1.0: -0.05})
    for strength in (0.01, 1.0):  # the first was chosen
        args = (("coupling", "dual"), ("strength", strength))
        put_row(store, "anchor", "3", range(3), under_shift(0.05), method_args=args)
    found = {c.row.method: c for c in controls.controls(Rows.of_cifar(store), "3")}
    assert set(found) == {"ema", "sam", "qat 2x steps", "anchor(coupling=dual, strength=0.01)"}
    assert {name: found[name].estimate for name in alone} == alone  # a control with fewer seeds changes none
    assert found["ema"].seeds == (0, 1, 2, 3)
    p = dict(zip(found, rows.corrected(list(found.values()), controls.PLANNED, 5), strict=True))
    smallest = min(c.estimate.p for name, c in found.items() if "dual" not in name)
    assert p["anchor(coupling=dual, strength=0.01)"] is None
    assert min(of for of in p.values() if of is not None) == pytest.approx(5 * smallest)
    part = controls.part(Rows.of_cifar(store))
    assert part
    assert re.search(r"better: ema at 3 bits .*; worse: qat 2x steps at 3 bits", part.found[0])
    assert "dual" not in part.found[0]
    assert "undecided: 1 of 3, whose 95% intervals lie within ±" in part.found[0]
    assert "after Holm's correction over the 5 controls of a bit-width" in part.found[0]
    assert re.search(r"dual, strength=0.01\) +\| 0 to 2 +\| \+[45]\.\d.* not yet", "\n".join(part.lines))
    assert part.lacks == ["12 of 15 controls on 4 seeds"]


def test_nothing_is_said_of_controls_before_their_seeds_are_there(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    put_row(store, "ema", "3", range(2), under_shift(0.05))
    part = controls.part(Rows.of_cifar(store))
    assert part
    assert not part.found
    assert part.lacks == ["15 of 15 controls on 4 seeds"]


def test_the_strength_of_dual_is_shown_with_what_it_was_chosen_among(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    put_row(store, "ema", "3", range(4), {})
    searched(store, {0.01: 0.02, None: 0.06, 1.0: -0.02, 0.5: 0.09})  # the last is not of the plan
    part = controls.part(Rows.of_cifar(store))
    assert part
    table = [line.replace(" ", "") for line in part.lines[-1].splitlines()[2:]]
    assert [row.split("|")[1] for row in table] == ["**0.1**", "0.01", "1"]
    assert all(float(row.split("|")[2].strip("*")) > 80 for row in table)
    assert "seed 0, 1, 2, 3, 4, 5, 6, 7." in page.page(store)  # not that of the search


def taxed(store: Store) -> Store:
    """QAT loses 5 points but on impulse noise, where it gains more the stronger it is, by its inputs."""
    impulse = {f"impulse_noise/{severity}": 0.02 * severity for severity in (1, 3, 5)}
    contrasted(store, range(8))
    put_row(store, "fp", "fp", range(8), under_shift(0.05) | {s: -gain for s, gain in impulse.items()})
    put_row(store, "qat", "w3a32", range(4), under_shift(0.05) | {s: -gain for s, gain in impulse.items()})
    put_row(store, "qat", "w32a3", range(4), under_shift(0.05) | dict.fromkeys(impulse, 0.0))
    return store


def expected_at_5(there: Rows, end: str = "/5") -> float:
    """QAT minus full precision at 3 bits and severity 5, from scores."""
    means = []
    for row in (Row("qat", "3"), rows.FP):
        of_row = there.records[row].values()
        means.append(np.mean([r.scores[s]["top1"].value for r in of_row for s in SHIFTS if s.endswith(end)]))
    return means[0] - means[1]


def test_the_tax_and_its_owner_are_those_that_were_planted(tmp_path):
    store = taxed(Store(tmp_path))
    there = Rows.of_cifar(store)
    gain = tax.tax(there, Row("qat", "3"), there.weights["impulse_noise"])
    assert gain
    expected = 100 * 0.02 * (1 + 3 + 5) / 3
    assert gain.estimate.value == pytest.approx(expected, abs=1.0)  # 500 images, blurred by their noise
    per_corruption = {name: e for name, (e, p) in tax.by_corruption(there, "3").items() if p < 0.05}
    assert {name: e.value > 0 for name, e in per_corruption.items()} == {
        "impulse_noise": True,
        "fog": False,
        "glass_blur": False,
    }
    part = tax.part(there)
    assert part
    assert "(p < 0.001, the plan's hypothesis; seeds 0 to 7): a gain" in part.found[1]
    assert re.search(
        r"exceeds that at severity 1 by \S+ \[[^]]*\] points \(p < 0.001\): it rises\. By", part.found[1]
    )
    last = re.search(r"\S+ (?=\[[^]]*\] at 5\.$)", part.found[1])
    assert last
    at_5 = expected_at_5(there, "impulse_noise/5")
    assert float(last[0]) == pytest.approx(at_5, abs=0.0051)  # two digits are shown
    text = "\n".join(part.lines)
    assert re.search(r"weights alone \(w3a32\) +\| 0 to 3 +\| [+-]?0\.\d+ .*\| (1\.000|0\.[1-9])", text)
    assert re.search(r"inputs alone \(w32a3\) +\| 0 to 3 +\| \+[56]\.\d+ .*\| <0.001", text)
    assert "**-5." in text
    assert part.lacks == ["7 of 12 rows of the profile on 4 seeds"]
    by_severity = text[text.index("By severity") :]
    assert re.search(r"\| 5 +\|", by_severity)
    assert f"{expected_at_5(there):+.2f} [" in by_severity
    drawn = figure(there)
    assert ">impulse noise<" in drawn
    assert drawn.count("<circle") == len(BITS) + 3


def test_hypotheses_and_owners_wait_for_their_seeds(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    put_row(store, "fp", "fp", range(3), under_shift(0.05))
    early = tax.by_corruption(Rows.of_cifar(store), "3")
    assert early
    assert {p for _, p in early.values()} == {None}
    put_row(store, "fp", "fp", range(3, 7), under_shift(0.05))
    put_row(store, "qat", "w3a32", range(3), {})
    part = tax.part(Rows.of_cifar(store))
    assert part
    assert not any("hypothesis" in sentence or "gain alone" in sentence for sentence in part.found)
    assert re.search(r"weights alone \(w3a32\) +\| 0 to 2 .* not yet", "\n".join(part.lines))
    fp = dict.fromkeys(under_shift(0.0), 0.05)
    put_row(store, "fp", "fp", (7, 8), fp)
    (sentence,) = tax.hypotheses(Rows.of_cifar(store))
    assert "seeds 0 to 7" in sentence
    with_more = contrasted(Store(tmp_path), range(9))
    assert tax.hypotheses(Rows.of_cifar(with_more)) == [sentence]  # seed 8 was not planned


def test_it_is_said_which_parts_gain_alone_once_all_four_are_there(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    put_row(store, "fp", "fp", range(8), {})
    planted = {"w3a32": 0.0, "w32a3": 0.05, "w8a3": 0.05, "w32a3@clip": -0.05}
    for bits, gain in planted.items():
        assert not tax.whose_gain(Rows.of_cifar(store))
        put_row(store, "qat", bits, range(4), under_shift(gain))
    (sentence,) = tax.whose_gain(Rows.of_cifar(store))
    verdicts = re.findall(
        r"(\w+[^;:]*?) [+-]?\d\.\d+ \[[^]]+\] \(p [=<] [\d.]+\): (a gain|a loss|undecided)", sentence
    )
    names = [tax.OWNERS[Row("qat", bits)] for bits in planted]
    assert verdicts == list(zip(names, ("undecided", "a gain", "a gain", "a loss"), strict=True))


def test_the_profile_has_every_row_by_corruption_and_severity(tmp_path):
    there = Rows.of_cifar(taxed(Store(tmp_path)))
    header, *lines = tax.profile(there).splitlines()
    found = {tuple(line.split(",")[:2] + line.split(",")[3:5]): line.split(",") for line in lines}
    assert header == "method,bits,seeds,corruption,severity,difference,low,high"
    assert len(found) == len(lines) == 8 * 9  # six at low bits, two owners; three corruptions by severity
    fp, qat = (there.records[row].values() for row in (rows.FP, Row("qat", "2")))
    by_hand = [np.mean([r.scores["fog/3"]["top1"].value for r in of_row]) for of_row in (fp, qat)]
    put_row(Store(tmp_path), "ema", "2", range(4), {})
    with_control = tax.profile(Rows.of_cifar(Store(tmp_path))).splitlines()
    assert len(with_control) == 1 + 9 * 9
    assert any(line.startswith("ema,2,4,fog,3,") for line in with_control)
    row = found["qat", "2", "fog", "3"]
    assert float(row[5]) == pytest.approx(by_hand[1] - by_hand[0], abs=0.005)  # two digits are shown
    assert float(row[6]) < float(row[5]) < float(row[7])
    assert row[2] == "8"


def test_what_adaptation_gives_back_is_found(tmp_path):
    store = taxed(Store(tmp_path))
    put_row(store, "fp", "fp", range(3), under_shift(0.10), adapt="bn")
    put_row(store, "qat", "3", range(3), under_shift(0.10), adapt="bn")
    part = adapted.part(Rows.of_cifar(store))
    assert part
    there, seeds = Rows.of_cifar(store), range(3)
    levels = {
        (row, adapt): rows.mean(there.runs(Row(row, "fp" if row == "fp" else "3", adapt), seeds), there.ood)
        for row in ("fp", "qat")
        for adapt in ("", "bn")
    }
    shrinks = levels["qat", "bn"] - levels["fp", "bn"] - (levels["qat", ""] - levels["fp", ""])
    assert f"3 bits {shrinks:+.2f} [" in part.found[0]
    assert len(part.found) == 1
    assert part.lacks == ["5 of 6 comparisons with adapted BatchNorm"]


@pytest.mark.parametrize(("change", "said"), [(0.04, "shrinks"), (-0.04, "grows"), (0.0, "undecided")])
def test_whether_the_tax_changes_is_told(tmp_path, change, said):
    store = taxed(Store(tmp_path))
    put_row(store, "fp", "fp", range(3), under_shift(0.10), adapt="bn")
    there = Rows.of_cifar(store)
    fp, qat = (there.runs(row, range(3)) for row in (rows.FP, Row("qat", "3")))
    tax_as_trained = (rows.mean(qat, there.ood) - rows.mean(fp, there.ood)) / 100
    put_row(store, "qat", "3", range(3), under_shift(0.10 + tax_as_trained + change), adapt="bn")
    part = adapted.part(Rows.of_cifar(store))
    assert part
    assert re.search(rf"3 bits .* \(p .*: {said}\);", part.found[0])


def test_configurations_are_those_of_the_grid(tmp_path):
    grid = {"quant": "3", "limit": configurations.LIMIT}
    steps = ("steps", configurations.STEPS)
    of_grid = replace(CELL, recipe_args=(steps,), **grid)
    store = Store(tmp_path)
    for cell in (
        of_grid,
        replace(of_grid, method="sam", recipe_args=(("lr", 0.03), steps)),
        replace(of_grid, seed=1),
        replace(of_grid, amp=True),
        replace(of_grid, limit=LIMIT + 1),
        replace(of_grid, recipe_args=()),
        replace(of_grid, recipe_args=(("momentum", 0.5), steps)),
        replace(of_grid, recipe_args=(("lr", 0.1), steps)),
        replace(of_grid, recipe_args=(steps, ("weight_decay", 0.01))),
    ):
        put(store, cell, {})
    assert {record.cell.method for record in configurations.configurations(store)} == {"qat", "sam"}
    assert len(configurations.configurations(store)) == 2
    put(store, replace(of_grid, plugins="p.py@0"), {})
    with pytest.raises(SystemExit, match="expected one run"):
        configurations.configurations(store)


def configuration(method: str, place: int, **settings: float) -> Cell:
    """One with the recipe of a place."""
    lr, decay = configurations.RECIPES[place]
    recipe = (("lr", lr), ("steps", configurations.STEPS), ("weight_decay", decay))
    fields = {"method_args": tuple(settings.items()), "recipe_args": recipe}
    return replace(CELL, method=method, quant="3", limit=configurations.LIMIT, **fields)


def put_configurations(store: Store, slope: float, of_id: float, lost: Iterable[int] = ()) -> None:
    """The planned ones, each sharper than the last; ID does not go with sharpness, and spreads by `of_id`."""
    for place in range(configurations.PLANNED):
        method, recipe = divmod(place, len(configurations.RECIPES))
        gain = under_shift(-slope * place / configurations.PLANNED) | {"id": of_id * (7 * place % 120) / 120}
        sharp = None if place in lost else space_flatness(1.0 + place)
        put(store, configuration(f"m{method:02}", recipe), gain, Flatness(quantized=sharp))
        if place == configurations.PLANNED // 2:
            early = flatness.part(store)
            assert early
            assert not early.found
            assert "not yet" in early.lines[0]
            assert early.lacks == [f"{configurations.PLANNED - place - 1} of 120 configurations of flatness"]


@pytest.mark.parametrize(("slope", "words"), [(0.3, "flatter is better"), (-0.3, "flatter is worse")])
def test_flatness_is_ranked_over_configurations(tmp_path, slope, words):
    store = contrasted(Store(tmp_path), range(8))
    assert flatness.part(store) is None
    put_configurations(store, slope, of_id=0.1)
    part = flatness.part(store)
    assert part
    assert not part.lacks
    assert (
        f"120 configurations of 20 methods at 3 bits: {words} by sharp 5% (quantized, ρ = " in part.found[0]
    )
    assert f"; at equal ID: {words} by sharp 5% (quantized, ρ = " in part.found[0]
    rho = float(re.findall(r"ρ = ([+-][\d.]+)", part.found[0])[0])
    assert rho == pytest.approx(
        -slope / 0.3, abs=0.03
    )  # neighbors differ by two images, less than their noise
    assert "λmax" not in part.found[0]
    assert "Left out" not in part.lines[2]


def test_methods_are_what_is_counted(tmp_path):
    """p is that of permuted methods; a method for which one recipe has no value is left out."""
    store = contrasted(Store(tmp_path), range(8))
    put_configurations(store, 0.1, of_id=0.1, lost=(0, 1, 50))
    rows = configurations.settings(configurations.configurations(store))
    found = flatness.answers(list(rows.values()), store)
    kept = [method for method in range(20) if method not in (0, 50 // 6)]
    points = np.array(
        [
            [np.mean([r.scores[s]["top1"].value for s in SHIFTS if s != "id"]) for r in rows[f"m{method:02}"]]
            for method in kept
        ]
    )
    of_id = [store.outcomes(r.cell)["id:margin"] > 0 for method in kept for r in rows[f"m{method:02}"]]
    halves_of_id = [[run[half::2].mean() for run in of_id] for half in (0, 1)]
    sharp = np.array([[6.0 * method + recipe for recipe in range(6)] for method in kept])
    expected = rank_correlation(sharp, np.round(points, 9))
    for answer in found:
        assert answer.configurations == 108
        assert answer.pooled_halves == pytest.approx(stats.spearmanr(*halves_of_id)[0])
        assert answer.pooled == pytest.approx(stats.spearmanr(sharp.ravel(), np.round(points, 9).ravel())[0])
        assert (answer.alone.rows, answer.alone.columns) == (18, 6)
        assert answer.alone == expected
        assert answer.at_equal.rows == 18
    sizes = sorted({f"{flatness.detectable(answer.spread, len(found)):.2f}" for answer in found})
    assert f"as they do here, a ρ of {sizes[0]}" in flatness.part(store).lines[2]
    assert "over 108 configurations of 18 methods" in flatness.part(store).found[0]


def test_settings_of_a_method_count_once_and_one_without_all_recipes_is_named(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    put_configurations(store, 0.3, of_id=0.1)
    for recipe, radius in product(range(6), (0.1, 0.2)):
        of_radius = under_shift(-0.4 * radius) | {"id": 0.01 * recipe}
        put(
            store,
            configuration("m03", recipe, rho=radius),
            of_radius,
            Flatness(quantized=space_flatness(40.0)),
        )
    put_failed(store, configuration("m03", 0, rho=0.2))
    part = flatness.part(store)
    assert "126 configurations of 20 methods" in part.found[0]
    assert part.lines[2].endswith("a finished run: m03(rho=0.2).")


def test_what_settings_of_a_method_share_is_no_evidence_twice():
    """12 methods, and two with four settings that do all alike; sharpness and OOD are independent.

    5%, and three standard errors of 300 trials (1.3%); settings as their own units give 12% to 16%.
    """
    methods = np.array([f"m{place:02}" for place in [*range(12), *[12] * 4, *[13] * 4]])
    rng = np.random.default_rng(0)

    def drawn():
        of_method = rng.normal(size=(14, 1))[[int(name[1:]) for name in methods]]
        return of_method + 0.2 * rng.normal(size=(20, 6))

    ps = [
        rank_correlation(*(flatness._of_methods(drawn(), methods) for _ in range(2)), draws=999).p
        for _ in range(300)
    ]
    assert np.mean(np.array(ps) < 0.05) <= 0.05 + 0.04


@pytest.mark.parametrize(("recipes", "alike"), [(1, (1.0, 1.0)), (6, (0.2, 0.5)), (6, (0.8, 0.9))])
def test_the_detectable_correlation_is_found_in_80_percent(recipes, alike):
    """14 methods, five tests: by permutations, as the page tests.

    `alike` is how far sharpness and OOD repeat from recipe to recipe. 200 studies have an error
    of 3%.
    Where recipes repeat each other, those that correlate make ρ surer than the formula says.
    """
    rng = np.random.default_rng(0)

    def drawn(normal: float) -> np.ndarray:
        of_method, of_run = rng.normal(size=(2, 200, 14, 1)), rng.normal(size=(2, 200, 14, recipes))
        for part in (of_method, of_run):
            part[1] = normal * part[0] + (1 - normal**2) ** 0.5 * part[1]
        repeat = np.reshape(alike, (2, 1, 1, 1))
        return repeat**0.5 * of_method + (1 - repeat) ** 0.5 * of_run

    def mean_rho(tables: np.ndarray) -> float:
        ranked = tables.argsort(axis=2).argsort(axis=2) - 6.5
        return (ranked[0] * ranked[1]).sum() / (ranked[0] ** 2).sum()

    size = flatness.detectable(np.mean([permuted_sd(x, y) for x, y in zip(*drawn(0.0), strict=True)]), 5)
    normal = next(r for r in np.linspace(0.2, 0.98, 40) if mean_rho(drawn(r)) >= size)
    found = [rank_correlation(x, y, draws=999).p < 0.05 / 5 for x, y in zip(*drawn(normal), strict=True)]
    assert 0.8 - 0.09 <= np.mean(found) <= 0.8 + 0.14


def test_nothing_is_said_of_flatness_where_id_tells_configurations_too_little_apart(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    put_configurations(store, slope=0.3, of_id=0.0)
    part = flatness.part(store)
    assert part
    said = "no conclusion is drawn, as planned, since two halves of the images rank the configurations' ID "
    said += "too differently"
    assert part.found == [f"**Flatness and OOD**, over 120 configurations of 20 methods at 3 bits: {said}."]
    cells = [cell.strip() for line in part.lines[0].splitlines()[2:] for cell in line.split("|")]
    assert len([cell for cell in cells if cell == "withheld"]) == 2 * len(part.lines[0].splitlines()[2:])


def test_a_pretrained_network_is_compared_with_itself_in_full_precision(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    assert pretrained.part(store) is None
    put_row(store, "fp", "fp", (0,), {}, suite="imagenet-c-live", **LITE0)
    impulse = dict.fromkeys([shift for shift in SHIFTS if shift.startswith("impulse")], 0.1)
    put_row(store, "ptq", "6", (0,), under_shift(-0.1) | impulse, suite="imagenet-c-live", **LITE0)
    put_row(store, "ptq", "4", (0,), dict.fromkeys(SHIFTS, -0.8), suite="imagenet-c-live", **LITE0)
    part = pretrained.part(store)
    assert part
    assert part.found[0].count("collapsed") == 1
    assert part.found[0].endswith("(collapsed in ID, too).")
    assert re.search(r"under corruption.* 6 bits -3\.[0-9]", part.found[0])
    text = "\n".join(part.lines)
    assert "worse on 2 of 3 corruptions and better on impulse noise after Holm" in text
    assert "500 images a shift" in text
    assert "a pretrained network on edge drawings and silhouettes" in page.page(store)


def test_a_row_has_collapsed_that_lost_more_than_a_quarter_in_id(tmp_path):
    store = Store(tmp_path)
    put_row(store, "fp", "fp", (0, 1), {})
    for bits, gain in (("4", -0.18), ("3", -0.27)):  # of 0.9, with chance unknown
        put_row(store, "ptq", bits, (0, 1), {"id": gain})
    there = Rows.of_cifar(store)
    assert [rows.collapsed(there, Row("ptq", bits)) for bits in ("4", "3")] == [False, True]
    assert tax._collapsed(there, [Row("ptq", "4"), Row("ptq", "3")]).endswith("in ID: ptq at 3.")


@pytest.mark.parametrize(
    ("value", "variance", "text"),
    [(0.0, 0.0, "identical"), (0.0, 1.0, "0.00 [-1.98, +1.98]"), (0.5, 0.0, "+0.50 [+0.50, +0.50]")],
)
def test_no_change_at_all_is_no_interval_of_no_width(value, variance, text):
    of = Estimate(
        value=value, seed_variance=0.0, image_variance=variance,
        seed_freedom=None, image_freedom=102, seeds=1, images=103,
    )  # fmt: skip
    assert rows.interval(of) == text


def test_a_failed_cell_is_named(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    assert "Failed" not in page.page(store)
    cell = replace(CELL, method="sam")
    put_failed(store, cell)
    assert f"Failed, and so in no number above: {cell.label}: loss is not finite." in page.page(store)


@pytest.mark.parametrize(("steps", "said"), [(300, ""), (600, "more might be better")])
def test_it_is_said_if_the_longest_training_was_chosen(steps, said):
    text = pacs_search._edge(replace(CELL, recipe_args=(("lr", 0.01), ("steps", steps))))
    assert said in text
    assert bool(said) == bool(text)


@pytest.mark.parametrize(("values", "none_gains"), [((-0.4, -0.1), True), ((-0.4, 0.1), False)])
def test_there_is_nothing_to_explain_by_freezing_where_no_row_gains(values, none_gains):
    def of(bits: str, value: float) -> rows.Difference:
        estimate = Estimate(
            value=value, seed_variance=1.0, image_variance=0.0,
            seed_freedom=2, image_freedom=None, seeds=3, images=100,
        )  # fmt: skip
        return rows.Difference(row=Row("qat", bits), seeds=(0, 1, 2), estimate=estimate)

    found = [of("w7a32", value) for value in values]
    said = "no row at w7a32 is above full precision"
    assert (said in pacs._freezing([*found, of("4", 1.0)])) == none_gains


def level(of_domain: Rows, method: str, bits: str, seed: int) -> float:
    """OOD of a run from its scores."""
    scores = of_domain.records[Row(method, bits)][seed].scores
    return float(np.mean([scores[shift]["top1"].value for shift in SHIFTS if shift != "id"]))


def test_pacs_is_the_mean_over_domains_minus_full_precision(tmp_path):
    store = contrasted(Store(tmp_path), range(8))
    gains = dict(zip(pacs.DOMAINS, (0.0, 0.02, 0.04, 0.06), strict=True))
    chosen, other = ((("lr", lr), ("steps", steps)) for lr, steps in ((0.01, 300), (0.003, 600)))

    def put_domains(method: str, bits: str, seeds: Iterable[int], share: float = 0.0, args=chosen) -> None:
        fields = LITE0 | {"recipe_args": args}
        for domain, gain in gains.items():
            put_row(store, method, bits, seeds, under_shift(share * gain), suite=f"pacs@{domain}", **fields)

    put_domains("fp", "fp", (0, 1, 2))
    assert pacs.part(store) is None  # before the search, nothing was chosen
    every = [(("lr", lr), ("steps", steps)) for lr in pacs_search.RATES for steps in pacs_search.STEPS]
    rest = [args for args in every if args not in (chosen, other)][1:]  # but one, which fails
    for args, gain in ((chosen, 0.05), (other, 0.0), *((args, -0.01) for args in rest)):
        assert pacs.part(store) is None  # nor before all eight of it have ended
        fields = LITE0 | {"recipe_args": args}
        put_row(store, "fp", "fp", (choice.SEED,), {"val": gain}, suite="pacs@photo", **fields)
    assert pacs.part(store) is None
    ninth = LITE0 | {"recipe_args": (("lr", 0.02), ("steps", 300))}  # not of the plan, whatever it reaches
    put_row(store, "fp", "fp", (choice.SEED,), {"val": 0.09}, suite="pacs@photo", **ninth)
    assert pacs.part(store) is None
    failing = {"recipe_args": every[0], "seed": choice.SEED}
    put_failed(store, replace(CELL, method="fp", quant="fp", suite="pacs@photo", **(LITE0 | failing)))
    put_domains("fp", "fp", (3,), args=other)  # not of the plan
    put_domains("fp", "fp", (3,))  # nor this seed
    put_row(
        store,
        "qat",
        "4",
        (choice.SEED,),
        {"val": 0.09},
        suite="pacs@photo",
        **(LITE0 | {"recipe_args": other}),
    )
    first = pacs.part(store)
    assert first
    assert re.search(r"Full precision reaches \d\d\.\d% top-1 .* \(art painting \d\d\.\d, ", first.found[0])
    assert "seeds 0 to 2)" in first.found[0]
    assert len(first.found) == 1
    (lacks,) = first.lacks
    assert lacks.startswith("14 of 14 rows of PACS on 3 seeds (qat, anchor, sagm, swad, frozen-conv")
    assert lacks.endswith("; qat, anchor, sagm, swad at 4 bits; qat, anchor, sagm, swad at 3 bits)")
    assert re.search(r"\*\*0\.01\*\* +\| \*\*300\*\*", first.lines[-1])
    assert "more might be better" not in first.lines[-3]  # 300 is not the longest
    assert "there is no gain" not in "\n".join(first.lines)  # nor is there a row

    put_domains("qat", "w7a32", (0,), share=1.0)
    early = pacs.part(store)
    assert early
    assert len(early.found) == 1  # one seed is not tested
    assert "qat" not in early.lines[0]  # nor has it an interval over seeds

    put_domains("qat", "w7a32", (1,), share=1.0)
    early = pacs.part(store)
    assert early
    assert re.search(r"\| qat .* not yet", early.lines[0])

    put_domains("qat", "w7a32", (2,), share=1.0)
    for method, bits in [*((method, "w7a32") for method in pacs.METHODS[1:]), *CONTROLS_OF_PACS]:
        put_domains(method, bits, (0, 1, 2))
    part = pacs.part(store)
    assert part
    sure, open_ = (
        r"better: qat at w7a32 \+[23]\.\d+ \[[^]]*\] \(p [=<] 0\.\d+\)",
        r"undecided: 5 of 6 rows, whose 95% intervals lie within ±0\.\d points "
        r"\(differences of \d\.\d to \d\.\d points would have been found in 80% of such studies\)",
    )
    pattern = rf"\*\*PACS, minus full precision\*\*, p after .* at 0\.05: {sure}; {open_}\."
    assert re.fullmatch(pattern, part.found[1])
    assert "there is no gain" not in "\n".join(part.lines)
    (row,) = (line for line in part.lines[0].splitlines() if line.startswith("| qat"))
    at_id, *levels, average = (float(cell) for cell in row.split("|")[4:10])
    assert at_id == pytest.approx(90, abs=1.5)  # what all domains have, by 500 images
    assert average == pytest.approx(np.mean(levels), abs=0.1)  # each is rounded to a tenth
    assert levels == sorted(levels)
    assert "0 to 2" in row
    lacking = "qat, anchor, sagm, swad at 4 bits; qat, anchor, sagm, swad at 3 bits"
    assert part.lacks == [f"8 of 14 rows of PACS on 3 seeds ({lacking})"]
    domains = pacs.by_domain(store)
    found = pacs.minus(domains, Row("qat", "w7a32")).estimate
    for row in (Row(pacs.CONTROL, "fp"), Row("swad", "w7a32")):  # both are among six, whatever their bits
        of_row = pacs.minus(domains, row)
        assert pacs.detectable(of_row) == of_row.estimate.detectable(0.05 / 6)
    of_anchor = np.mean([level(of, "anchor", "w7a32", seed) for of in domains for seed in (0, 1, 2)])
    of_qat = np.mean([level(of, "qat", "w7a32", seed) for of in domains for seed in (0, 1, 2)])
    assert re.search(rf"anchor minus QAT\*\* .*: w7a32 {of_anchor - of_qat:.2f} \[", part.found[2])
    assert "bits" not in part.found[2].partition(": ")[2]
    by_seed = [
        np.mean([level(of, "qat", "w7a32", seed) - level(of, "fp", "fp", seed) for of in domains])
        for seed in (0, 1, 2)
    ]
    assert found.value == pytest.approx(np.mean(by_seed))
    assert found.half_width() >= stats.t.ppf(0.975, 2) * np.std(by_seed, ddof=1) / 3**0.5 - 1e-9
    assert found.image_variance == 0  # each seed has its own images
    assert [of_domain.records[Row("fp", "fp")].keys() for of_domain in domains] == [{0, 1, 2}] * 4
