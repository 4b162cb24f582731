"""The page of a study: planted differences and correlations are found, sentences follow the numbers."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.bench.study.compare import GAP, ID, OOD
from flatqat.bench.study.correlations import QUESTIONS, associations
from flatqat.bench.study.page import write_study
from flatqat.bench.study.sentences import by_family, cost, does_flat_help, id_and_gap, who_wins
from flatqat.bench.study.study import studied
from flatqat.errors import StoreError
from flatqat.spec import Eigenvalue, Flatness
from tests.helpers.study_records import CELL, METHODS, SHIFTS, flatness, planted, put, right_of

PLAIN, PARTIAL, OF_GAP = QUESTIONS


def study_of(store, against="qat"):
    ((_, members),) = studied(sections(store.records()), store, against)
    return members[0]


@cache
def study_in(store):
    """Of stores that stay as they are."""
    return study_of(store)


def page(store, against="qat"):
    return render(store, None, "study", "method", against)


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("nothing"))


@pytest.fixture(scope="module")
def winner(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("winner"), better=0.12)


@pytest.fixture(scope="module")
def something(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("something"), slope=0.2)


def test_differences_are_those_of_the_outcomes(something):
    study = study_in(something)
    outcomes = {
        method: [something.outcomes(replace(CELL, method=method, seed=seed)) for seed in (0, 1, 2)]
        for method in ("qat", "sam")
    }
    right = {
        method: [{s: arrays[f"{s}:margin"] > 0 for s in SHIFTS} for arrays in runs]
        for method, runs in outcomes.items()
    }
    gained = {
        s: 100 * np.array([run[s] * 1.0 for run in right["sam"]])
        - 100 * np.array([run[s] * 1.0 for run in right["qat"]])
        for s in SHIFTS
    }
    weather = (gained["fog/1"] + gained["snow/1"]) / 2
    gap = gained["id"] - (gained["fog/1"] + gained["snow/1"] + gained["blur/1"]) / 3
    for what, d in (("weather", weather), (GAP, gap)):
        found = study.find("sam", what).estimate
        assert found.value == pytest.approx(d.mean(), abs=1e-9)
        rest = d - d.mean(axis=0) - d.mean(axis=1, keepdims=True) + d.mean()
        pair = (rest**2).sum() / (2 * 499) / 500
        of_images = d.mean(axis=0).var(ddof=1) / 500 - pair / 3
        assert found.image_variance == pytest.approx(max(of_images, 0))
        assert found.seeds == 3
    assert study.find("qat", OOD) is None


def test_a_planted_winner_is_found_where_it_wins(winner):
    """`sam` is 12 points better on weather, two of the three shifts, and nowhere else."""
    study = study_in(winner)
    sure = {(c.method, c.what) for c in (*study.main, *study.families) if c.is_sure()}
    assert sure == {("sam", OOD), ("sam", GAP), ("sam", "weather")}
    weather = study.find("sam", "weather").estimate
    assert weather.low < 12 < weather.high
    says = who_wins(study)
    assert "better under shift: `sam` +" in says
    assert "worse: none; undecided: 6" in says
    assert by_family(study).startswith("blur: nothing decided; weather: `sam` +")
    assert "The gap (less is better): `sam` -" in id_and_gap(study)
    assert "ID top-1: nothing decided." in id_and_gap(study)


def test_a_family_that_is_all_of_ood_has_no_tests_of_its_own(tmp_path, monkeypatch, winner):
    """They would be those of OOD, corrected for fewer comparisons."""
    assert study_in(winner).family_names == ["blur", "weather"]
    assert "By family" in page(winner)
    one = {name: replace(info, family="all") if info.in_mean else info for name, info in SHIFTS.items()}
    monkeypatch.setattr("tests.helpers.study_records.SHIFTS", one)
    store = planted(tmp_path)
    assert study_in(store).family_names == []
    assert "By family" not in page(store)


def test_what_falls_behind_is_said_to(something):
    """Each method is sharper and worse than the one before."""
    says = who_wins(study_in(something))
    assert "better under shift: none" in says
    assert "`gsam` -" in says.partition("worse: ")[2].partition("; undecided")[0]


def test_where_nothing_is_planted_nothing_is_sure(nothing):
    study = study_in(nothing)
    assert not [c for c in (*study.main, *study.families) if c.is_sure()]
    assert "better under shift: none; worse: none; undecided: 7" in who_wins(study)
    for space in ("quantized", "latent"):
        assert "undecided for all 6 measures (furthest" in does_flat_help(associations(study), space, PLAIN)


def test_flatness_is_correlated_with_each_quantity_among_the_runs_of_a_seed(something):
    study, scores = study_in(something), {}
    records = [r for r in something.records() if r.cell.method != "fp"]
    for record in records:
        top1 = {s: record.scores[s]["top1"].value for s in SHIFTS}
        ood = np.mean([top1[s] for s in ("fog/1", "snow/1", "blur/1")])
        sharp = record.flatness.quantized.lambda_max.value
        # Rounded, or equal accuracies would have different ranks by the order of the sums.
        of_seed = scores.setdefault(record.cell.seed, [])
        of_seed.append((sharp, round(ood, 9), round(top1["id"] - ood, 9)))
    found = {a.question: a for a in associations(study) if (a.space, a.measure) == ("quantized", "λmax")}
    ranked = np.concatenate([stats.rankdata(of_seed, axis=0) for of_seed in scores.values()]).T
    sharp, ood, gap = ranked
    assert found[PLAIN].correlation.rho == pytest.approx(np.corrcoef(sharp, ood)[0, 1])
    assert found[OF_GAP].correlation.rho == pytest.approx(np.corrcoef(sharp, gap)[0, 1])


def test_a_planted_correlation_has_its_sign_in_each_space(something):
    """Sharper is worse at the deployed weights; the latent order is turned round: there flatter is worse."""
    study = study_in(something)
    flat = associations(study)
    for question in (PLAIN, OF_GAP):
        verdicts = {space: {a.verdict for a in flat if (a.space, a.question) == (space, question)}
                    for space in ("quantized", "latent")}  # fmt: skip
        assert verdicts == {"quantized": {1}, "latent": {-1}}, question.title
    assert "flatter is better for λmax (-" in does_flat_help(flat, "quantized", PLAIN)
    assert "flatter is worse for λmax (+" in does_flat_help(flat, "latent", PLAIN)


def test_at_equal_id_nothing_is_said_where_id_does_not_differ(something):
    flat = associations(study_in(something))
    assert all(a.p is None and a.verdict == 0 for a in flat if a.question is PARTIAL)
    says = does_flat_help(flat, "quantized", PARTIAL)
    assert re.search(r"withheld, since the methods differ too little in ID .* by -?0\.\d\d\)", says)
    row = next(line for line in page(something).splitlines() if line.startswith("| quantized | λmax"))
    assert row.count("withheld") == 1


@pytest.mark.parametrize("of_its_own", [True, False])
def test_at_equal_id_only_what_flatness_does_of_its_own_counts(tmp_path, of_its_own):
    """Methods of more ability are better in ID and OOD. They are flatter, or flatter ones better besides."""
    store, names = Store(tmp_path), ("qat", *METHODS, "sagm", "fqat", "adaround", "gaqat")
    for place, method in enumerate(names):
        rank = 5 * place % len(names)
        sharp = place if of_its_own else rank
        for seed in (0, 1, 2):
            # Or ranks of sharpness or OOD could be those of ID, and nothing would be left of them.
            of_sharpness, of_ood = np.random.default_rng([seed, place]).normal(size=2)
            ood = -0.04 * rank - 0.02 * place * of_its_own + 0.03 * of_ood
            cell, gain = (
                replace(CELL, method=method, seed=seed),
                {"id": -0.04 * rank, "weather": ood, "blur": ood},
            )
            put(store, cell, right_of(seed, 0.02, gain, [place]), flatness(5 + sharp + of_sharpness, 1.0))
    (found,) = {
        (a.verdict, round(a.correlation.rho, 6))
        for a in associations(study_of(store))
        if a.question is PARTIAL and (a.space, a.measure) == ("quantized", "λmax")
    }
    assert found[0] == (1 if of_its_own else 0)


def test_the_answers_stand_in_the_first_ten_lines(winner):
    first = page(winner).splitlines()[:10]
    text = "\n".join(first)
    for part in (
        "which methods win",
        "correlate with OOD?",
        "correlate with OOD at equal ID?",
        "better under shift: `sam`",
    ):
        assert part in text


def test_another_baseline_turns_the_differences_round(something):
    forward, back = study_in(something).find("sam", OOD), study_of(something, "sam").find("qat", OOD)
    assert back.estimate.value == pytest.approx(-forward.estimate.value)
    assert back.estimate.p == pytest.approx(forward.estimate.p)


def test_the_reference_is_shown_and_not_tested(something):
    study = study_in(something)
    assert study.find("fp", OOD).p is None
    assert sum(c.p is not None for c in study.main) == 3 * len(METHODS)
    assert f"the {3 * len(METHODS)} comparisons" in page(something)
    assert all(a.correlation.rows == 1 + len(METHODS) for a in associations(study))


def test_the_scatter_over_seeds_is_explained_only_below_the_table_that_shows_it(something):
    text = page(something)
    main, families = [line for line in text.splitlines() if "comparisons of this table" in line][:2]
    assert main.endswith("not tested. sd: standard deviation of OOD over seeds.")
    assert "sd:" not in families


def test_the_same_store_gives_the_same_bytes(something, tmp_path):
    for name in ("a", "b"):
        write_study(sections(something.records()), something, "qat", tmp_path / name / "study.md")
    for name in ("study.md", "study.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert "](study.svg)" in (tmp_path / "a" / "study.md").read_text(encoding="utf-8")
    picture = (tmp_path / "a" / "study.svg").read_text(encoding="utf-8")
    assert all(f">{method}<" in picture for method in ("qat", *METHODS, "fp"))


def test_without_flatness_there_is_no_picture_and_the_page_says_so(tmp_path):
    store = Store(tmp_path / "results")
    for method in ("qat", "sam"):
        put(store, replace(CELL, method=method), right_of(0, 0.1, {}, [len(method)]))
    write_study(sections(store.records()), store, "qat", tmp_path / "study.md")
    text = (tmp_path / "study.md").read_text(encoding="utf-8")
    assert "Flatness was not measured." in text
    assert "svg" not in text
    assert not (tmp_path / "study.svg").exists()


def test_a_method_without_all_seeds_is_compared_and_not_tested(tmp_path):
    store = planted(tmp_path)
    lone = replace(CELL, method="asam", seed=1)
    put(store, lone, right_of(1, 0.02, {}, [99]), flatness(3.0, 3.0))
    study = study_of(store)
    assert study.find("asam", OOD).estimate.seeds == 1
    assert study.find("asam", OOD).p is None
    assert all(a.correlation.rows == 1 + len(METHODS) for a in associations(study))
    assert "Δ of `asam` over those shared with `qat`." in page(store)


def test_a_measure_that_is_missing_takes_its_method_out(tmp_path):
    store = planted(tmp_path)
    record = store.record(replace(CELL, method="sam", seed=1))
    none = Eigenvalue(value=None, residual=None)
    measured = {name: replace(space, lambda_max=none) for name, space in record.flatness.spaces.items()}
    store.write_record(replace(record, flatness=Flatness(**measured)))
    rows = {a.measure: a.correlation.rows for a in associations(study_of(store))}
    assert rows["λmax"] == len(METHODS)
    assert rows["SAM"] == 1 + len(METHODS)


def test_seeds_with_images_of_their_own_are_judged_by_their_scatter_alone(something, tmp_path):
    """No variance of images on top: it is part of the scatter of the seeds."""
    store = Store(tmp_path)
    for record in something.records():
        arrays = something.outcomes(record.cell)
        store.write_record(replace(record, protocol=replace(record.protocol, split="by seed")), arrays)
    own, same = (s.find("sam", ID).estimate for s in (study_of(store), study_in(something)))
    assert own.image_variance == 0
    right = {m: [store.outcomes(replace(CELL, method=m, seed=s)) for s in (0, 1, 2)] for m in ("qat", "sam")}
    top1 = {m: [100 * np.mean(run["id:margin"] > 0) for run in runs] for m, runs in right.items()}
    assert own.value == same.value == pytest.approx(np.mean(top1["sam"]) - np.mean(top1["qat"]))
    # the pooled scatter is in units of what the images of a seed give, which here is more than their pairs
    assert own.seed_variance != same.seed_variance


def test_a_noisy_method_stands_alone_and_is_named(tmp_path):
    store = planted(tmp_path)
    for seed, gain in enumerate((0.1, -0.1, 0.0)):
        cell = replace(CELL, method="noisy", seed=seed)
        families = dict.fromkeys(("weather", "blur"), gain)
        put(store, cell, right_of(seed, 0.02, families, [77]), flatness(3.0, 3.0))
    found = {c.method: c.estimate.seed_freedom for c in study_of(store).main if c.what == OOD}
    assert found.pop("noisy") == 2
    assert max(found.values()) == 2 * (len(METHODS) + 1)
    assert re.search(r"pooled over all methods but `[^.]*noisy`[^.]*, each judged by its own\.", page(store))


def test_two_methods_pool_nothing(tmp_path):
    store = Store(tmp_path)
    for method, gain in (("qat", 0.0), ("sam", 0.05)):
        for seed in range(3):
            cell = replace(CELL, method=method, seed=seed)
            put(store, cell, right_of(seed, 0.02, {"weather": gain}, [len(method)]), flatness(3.0, 3.0))
    assert "OOD is not pooled: each difference is judged by its own." in page(store)


def test_few_methods_are_said_to_be_too_few(tmp_path):
    store = Store(tmp_path)
    for place, method in enumerate(("qat", "sam", "ema", "swad")):
        cell = replace(CELL, method=method)
        put(store, cell, right_of(0, 0.1, {}, [place]), flatness(place + 1.0, 1.0))
    flat = associations(study_of(store))
    assert "for which 4 methods are too few" in does_flat_help(flat, "quantized", PLAIN)
    assert "too few methods to say" in does_flat_help(flat, "latent", PLAIN)  # constant there


@pytest.mark.parametrize("against", ["swad", "qat(x=1)"])
def test_a_baseline_that_is_not_there_is_named_with_what_is(tmp_path, against):
    store = Store(tmp_path)
    put(store, CELL, right_of(0, 0.1, {}, [1]))
    put(store, replace(CELL, method="sam"), right_of(0, 0.1, {}, [2]))
    with pytest.raises(StoreError, match=r"expected a quantized .* the rows qat 4, sam 4; .* --against"):
        page(store, against)


def test_another_metric_and_missing_outcomes_are_refused(tmp_path):
    store = Store(tmp_path)
    record = put(store, CELL, right_of(0, 0.1, {}, [1]))
    miou = {shift: {**found, "miou": found["top1"]} for shift, found in record.scores.items()}
    store.write_record(replace(record, protocol=replace(record.protocol, metric="miou"), scores=miou))
    with pytest.raises(StoreError, match="expects a suite scored by top1, got miou"):
        page(store)
    store.write_record(record)
    store.outcomes_path(CELL).unlink()
    with pytest.raises(StoreError, match="outcome of every image, got none"):
        page(store)


def test_how_it_was_made_is_told(something):
    made = page(something).partition("## How it was made")[2]
    for part in ("made up; data d; seed 0, 1, 2", "lr 0.01, momentum 0.9", "steps 5, weight_decay",
                 "keep first/last", "torch 2.0",
                 "500 images a shift, 3 seeds", "start.safetensors", "--space quantized,latent",
                 "flatqat bench report --format study --against qat --suite s"):  # fmt: skip
        assert part in made


def test_the_cost_is_what_the_baseline_loses_to_full_precision(tmp_path):
    """Baseline less reference, with the ends of the interval in order."""
    store, fp = Store(tmp_path), replace(CELL, method="fp", quant="fp")
    ours = put(store, CELL, right_of(0, 0.05, {"weather": -0.1}, [1]))
    theirs = put(store, fp, right_of(0, 0.05, {}, [2]))
    put(store, replace(CELL, method="sam"), right_of(0, 0.05, {}, [3]))
    shifts = ("fog/1", "snow/1", "blur/1")
    lost = np.mean([ours.scores[s]["top1"].value - theirs.scores[s]["top1"].value for s in shifts])
    text = cost(study_of(store))
    value, low, high = re.search(r"([-+.\d]+) \[([-+.\d]+), ([-+.\d]+)\] in OOD", text).groups()
    assert float(value) == pytest.approx(lost, abs=0.005)  # printed to 0.01
    assert float(low) < float(value) < float(high) < 0


def test_with_one_seed_the_page_says_so_and_tells_no_scatter_of_seeds(tmp_path):
    store = Store(tmp_path)
    for place, method in enumerate(("qat", "sam", "ema")):
        put(store, replace(CELL, method=method), right_of(0, 0.05, {}, [place]))
    limits = page(store).partition("What limits it:")[2]
    assert "With one seed every number speaks of these training runs alone" in limits
    assert "scatter over seeds" not in limits


def test_with_one_seed_nothing_is_better_or_worse(tmp_path):
    """However far apart the runs are: it is one run of each."""
    store = Store(tmp_path)
    for place, method in enumerate(("qat", "sam", "ema")):
        gain = {"weather": -0.3 * (method == "ema"), "blur": 0.3 * (method == "sam")}
        put(store, replace(CELL, method=method), right_of(0, 0.02, gain, [place]))
    study = study_of(store)
    assert not [c for c in (*study.main, *study.families) if c.is_sure() or c.p is not None]
    text = page(store)
    assert "With one seed, nothing is called better or worse than `qat`" in text
    assert "over images, **for these runs alone**" in text
    assert "**+" not in text
    assert "**-" not in text


@pytest.mark.parametrize(("residual", "starred"), [(2e-3, True), (5e-4, False)])
def test_an_eigenvalue_is_starred_where_the_report_stars_it(tmp_path, residual, starred):
    store = Store(tmp_path)
    for place, method in enumerate(("qat", "sam", "ema")):
        measured = flatness(3.0, 2.0)
        eigenvalue = replace(measured.quantized.lambda_max, residual=residual)
        measured = replace(measured, quantized=replace(measured.quantized, lambda_max=eigenvalue))
        put(store, replace(CELL, method=method), right_of(0, 0.05, {}, [place]), measured)
    rows = [line for line in page(store).splitlines() if line.startswith("| quantized | `sam`")]
    assert [r"3\*" in line for line in rows] == [starred]
    assert ("3*" in render(store, None, "md", "method")) == starred


def test_methods_too_few_for_all_spaces_together_are_said_to_be_too_few(tmp_path):
    """Five can decide 4 measures of one space (4/120), not the 8 of two, which Holm corrects together."""
    store = Store(tmp_path)
    for place, method in enumerate(("qat", "sam", "ema", "swad", "gsam")):
        measured = flatness(place + 1.0, 9.0 - place)
        four = {
            name: replace(space, sharpness_sam=None, sharpness_asam=None)
            for name, space in measured.spaces.items()
        }
        put(store, replace(CELL, method=method), right_of(0, 0.1, {}, [place]), Flatness(**four))
    flat = associations(study_of(store))
    assert "for which 5 methods are too few" in does_flat_help(flat, "quantized", PLAIN)


def test_without_shifts_there_is_a_table_and_no_study(tmp_path):
    store = Store(tmp_path)
    for place, method in enumerate(("qat", "sam")):
        record = put(store, replace(CELL, method=method), right_of(0, 0.1, {}, [place]))
        shifts = {
            name: replace(shift, in_mean=name == "id") for name, shift in record.protocol.shifts.items()
        }
        changed = replace(record, protocol=replace(record.protocol, shifts=shifts))
        store.write_record(changed, store.outcomes(record.cell))
    assert "| sam" in render(store, None, "md", "method")
    with pytest.raises(StoreError, match="a study expects shifts that count in the mean, got none"):
        page(store)


def test_bits_with_stars_are_escaped_in_markdown_alone(tmp_path):
    store = Store(tmp_path)
    for place, method in enumerate(("fp", "qat", "ema")):
        own = {} if method == "fp" else {"layer_bits": "layer1.*=8"}
        cell = replace(CELL, method=method, quant="fp" if method == "fp" else "4", **own)
        put(store, cell, right_of(0, 0.02, {}, [place]), flatness(1 + place, 2))
    page = render(store, None, "html", "method", "qat")
    assert "4 (layer1.*=8)" in page
    assert r"layer1.\*" not in page
    assert r"## 4 (layer1.\*=8)" in render(store, None, "study", "method", "qat")
