"""Families in one table: rows and means against the same numbers computed by hand from outcomes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import method_row
from flatqat.bench.report.families import by_domain, merged
from flatqat.bench.report.render import load, render
from flatqat.spec import Cell, Record, ShiftInfo
from tests.helpers import HELPERS
from tests.helpers.errors_by_hand import by_hand
from tests.helpers.records import margins_of, protocol, scores_of, train_log
from tests.helpers.running import run_plan

TARGETS = ("art", "photo", "sketch")
FP = Cell(suite="f@art", suite_version=1, model="m", method="fp", quant="fp", recipe="b", seed=0)
QAT = replace(FP, method="qat", quant="4")
N = {"val": 60, "id": 60, "target": 90, "oracle": 90}

Runs = dict[tuple[str, str, int], dict[str, np.ndarray]]


def put(
    store: Store, cell: Cell, *, steps: int = 5, id_share: float = 0.9, ids: bool = False
) -> dict[str, np.ndarray]:
    """A record of made-up outcomes, which differ from seed to seed in their images too.

    With `ids`, all domains have the same images of ID.
    """
    target = cell.suite.partition("@")[2]
    rng = np.random.default_rng([cell.seed, *cell.method.encode(), *target.encode()])
    share = {"val": 0.9, "id": id_share, target: 0.7, "oracle": 0.6}
    right = {shift: rng.random(N.get(shift, N["target"])) < share[shift] for shift in share}
    shifts = {
        shift: ShiftInfo(
            family=shift,
            severity=None,
            image_set={"oracle": "target", target: "target"}.get(shift, shift),
            in_mean=shift in ("id", target),
            weights="last" if shift == "oracle" else "selected",
        )
        for shift in share
    }
    how = protocol(
        shifts,
        suite="p",
        data=f"{target}{cell.seed}",
        split=f"-s{cell.seed}",
        targets=TARGETS,
        reference=cell.method == "fp",
    )
    store.write_record(
        Record(cell=cell, status="done", scores=scores_of(right), protocol=how, train=train_log(steps)),
        margins_of(right) | ({f"{shift}:ids": images_of(shift) for shift in share} if ids else {}),
    )
    return right


def images_of(shift: str) -> np.ndarray:
    """The ids of a shift; those of the oracle are nobody's concern."""
    first = 100 * (1 + TARGETS.index(shift)) if shift in TARGETS else 0
    return (first + np.arange(N.get(shift, N["target"]))).astype(np.uint16)


def fill(
    store: Store, seeds: tuple[int, ...] = (0, 1, 2), targets: tuple[str, ...] = TARGETS, *, ids: bool = False
) -> Runs:
    return {
        (target, cell.method, seed): put(store, replace(cell, suite=f"f@{target}", seed=seed), ids=ids)
        for target in targets
        for cell in (FP, QAT)
        for seed in seeds
    }


def rows(store: Store) -> dict[tuple[str, str], dict]:
    (family,) = merged(sections(store.records()))
    found = by_domain(family, store).to_dict("records")
    return {(row["method"], row["domain"]): row for row in found}


def test_every_method_has_a_row_a_domain_and_their_mean(tmp_path: Path) -> None:
    fill(Store(tmp_path))
    assert list(rows(Store(tmp_path))) == [
        (method, domain) for method in ("fp", "qat") for domain in (*TARGETS, "mean")
    ]


def test_a_domain_has_the_numbers_of_its_own_table(tmp_path: Path) -> None:
    runs = fill(Store(tmp_path))
    row = rows(Store(tmp_path))["qat", "photo"]
    right = [runs["photo", "qat", seed] for seed in range(3)]
    assert row["seeds"] == 3
    assert row["id_top1"] == pytest.approx(100 * np.mean([r["id"].mean() for r in right]))
    assert row["ood_top1"] == pytest.approx(100 * np.mean([r["photo"].mean() for r in right]))
    assert row["oracle_top1"] == pytest.approx(100 * np.mean([r["oracle"].mean() for r in right]))
    expected = by_hand([100.0 * np.array([r["photo"] for r in right])], nested=True)
    assert row["ood_top1_stderr"] == pytest.approx(expected.stderr)


def test_the_mean_is_over_domains_and_its_error_over_seeds(tmp_path: Path) -> None:
    runs = fill(Store(tmp_path))
    row = rows(Store(tmp_path))["qat", "mean"]
    for column, name in (("id_top1", "id"), ("ood_top1", None), ("oracle_top1", "oracle")):
        by_seed = [
            100 * np.mean([runs[t, "qat", seed][name or t].mean() for t in TARGETS]) for seed in range(3)
        ]
        assert row[column] == pytest.approx(np.mean(by_seed))
        if column != "oracle_top1":
            pools = [100 / 3 * np.array([runs[t, "qat", s][name or t] for s in range(3)]) for t in TARGETS]
            expected = by_hand(pools, nested=True)
            assert row[f"{column}_stderr"] == pytest.approx(expected.stderr)
            assert (row[f"{column}_low"], row[f"{column}_high"]) == pytest.approx(expected.share)
    assert row["gap"] == pytest.approx(row["id_top1"] - row["ood_top1"])
    assert row["images"] == 3 * N["id"]


def test_the_extra_gap_is_of_seeds_whose_images_are_their_own(tmp_path: Path) -> None:
    runs = fill(Store(tmp_path))
    table = rows(Store(tmp_path))

    def matrices(target: str) -> list[np.ndarray]:
        return [
            100
            * sign
            * np.stack([runs[target, "qat", s][shift] * 1.0 - runs[target, "fp", s][shift] for s in range(3)])
            for shift, sign in (("id", 1), (target, -1))
        ]

    alone = by_hand(matrices("art"), nested=True)
    assert [table["qat", "art"][f"extra_gap{end}"] for end in ("", "_low", "_high")] == pytest.approx(
        [alone.value, alone.low, alone.high]
    )
    together = by_hand([m / 3 for target in TARGETS for m in matrices(target)], nested=True)
    got = [table["qat", "mean"][f"extra_gap{end}"] for end in ("", "_low", "_high")]
    assert got == pytest.approx([together.value, together.low, together.high])
    assert got[0] == pytest.approx(np.mean([table["qat", target]["extra_gap"] for target in TARGETS]))
    assert table["fp", "mean"]["extra_gap"] is None or np.isnan(table["fp", "mean"]["extra_gap"])


def test_a_mean_takes_the_seeds_that_all_domains_have(tmp_path: Path) -> None:
    store = Store(tmp_path)
    runs = fill(store)
    (lost,) = [r for r in store.records("f@art") if r.cell.method == "qat" and r.cell.seed == 1]
    store.record_path(lost.cell).unlink()
    row = rows(store)["qat", "mean"]
    assert row["seeds"] == 2
    by_seed = [100 * np.mean([runs[t, "qat", seed][t].mean() for t in TARGETS]) for seed in (0, 2)]
    assert row["ood_top1"] == pytest.approx(np.mean(by_seed))
    pools = [100 / 3 * np.array([runs[t, "qat", s][t] for s in (0, 2)]) for t in TARGETS]
    assert row["ood_top1_stderr"] == pytest.approx(by_hand(pools, nested=True).stderr)
    assert rows(store)["qat", "photo"]["seeds"] == 3


def test_other_settings_than_those_of_the_recipe_are_pointed_out(tmp_path: Path) -> None:
    """The text of such a suite tells what its recipe is."""
    for target in TARGETS:
        put(Store(tmp_path / "other"), replace(FP, suite=f"f@{target}", recipe_args=(("lr", 0.1),)))
        put(Store(tmp_path / "own"), replace(FP, suite=f"f@{target}"))
    other, own = (render(Store(tmp_path / name), None, "md", "method") for name in ("other", "own"))
    assert "replace its own. mean: over the domains." in other
    assert "replace its own" not in own


def test_a_mean_over_some_domains_says_so(tmp_path: Path) -> None:
    fill(Store(tmp_path), targets=("art", "sketch"))
    assert ("qat", "mean of 2/3") in rows(Store(tmp_path))
    fill(Store(tmp_path / "one"), targets=("art",))
    assert [domain for _, domain in rows(Store(tmp_path / "one"))] == ["art", "art"]


@pytest.mark.parametrize("known", [(), TARGETS[:2]])
def test_with_one_seed_the_mean_of_id_has_no_error_since_domains_share_its_images(
    tmp_path: Path, known: tuple[str, ...]
) -> None:
    """Unless all outcomes say which images these are."""
    fill(Store(tmp_path), seeds=(0,))
    fill(Store(tmp_path), seeds=(0,), targets=known, ids=True)
    table = rows(Store(tmp_path))
    mean, alone = table["qat", "mean"], table["qat", "art"]
    errors = ("id_top1_low", "extra_gap_low", "extra_gap_high")
    assert not any(np.isfinite(mean[name]) for name in errors)
    assert all(np.isfinite(alone[name]) for name in errors)
    assert all(np.isfinite(mean[name]) for name in ("id_top1", "ood_top1_low", "extra_gap"))
    text = render(Store(tmp_path), None, "md", "method")
    assert f"{mean['extra_gap']:+.1f} |" in text


def test_with_one_seed_and_ids_an_image_of_all_domains_counts_once(tmp_path: Path) -> None:
    runs = fill(Store(tmp_path), seeds=(0,), ids=True)
    row = rows(Store(tmp_path))["qat", "mean"]
    of_id = by_hand([sum(100 / 3 * runs[t, "qat", 0]["id"][None] for t in TARGETS)])
    assert row["id_top1_stderr"] == pytest.approx(of_id.stderr)
    assert (row["id_top1_low"], row["id_top1_high"]) == pytest.approx(of_id.share)

    def changes(target: str, shift: str) -> np.ndarray:
        return 100 / 3 * (runs[target, "qat", 0][shift] * 1.0 - runs[target, "fp", 0][shift])[None]

    gap = by_hand([sum(changes(t, "id") for t in TARGETS), *(-changes(t, t) for t in TARGETS)])
    half = stats.t.ppf(0.975, N["id"] - 1) * gap.stderr
    got = [row[f"extra_gap{end}"] for end in ("", "_low", "_high")]
    assert got == pytest.approx([gap.value, gap.value - half, gap.value + half])


@pytest.mark.parametrize("level", [0.5, 0.85])
def test_a_mean_over_some_domains_collapses_as_full_precision_on_these(tmp_path: Path, level: float) -> None:
    """Full precision has about 90% in ID: a quarter less, without known chance, is 67.5%."""
    store = Store(tmp_path)
    for target in TARGETS:
        put(store, replace(FP, suite=f"f@{target}"))
    for target in TARGETS[:2]:
        put(store, replace(QAT, suite=f"f@{target}"), id_share=level)
    table = rows(store)
    assert table["qat", "mean of 2/3"]["collapsed"] == table["qat", "art"]["collapsed"] == (level < 0.675)
    assert not table["fp", "mean"]["collapsed"]


def test_a_rule_without_steps_has_no_last_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for target in TARGETS:
        put(store, replace(FP, suite=f"f@{target}"))
        put(store, replace(QAT, method="ptq", suite=f"f@{target}"), steps=0)
    table = rows(store)
    for domain in (*TARGETS, "mean"):
        value = table["ptq", domain]["oracle_top1"]
        assert value is None or np.isnan(value)
        assert table["fp", domain]["oracle_top1"] > 0


def test_the_row_of_a_domain_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is computed again only where a domain has seeds that others lack, for the mean over domains."""
    store, computed = Store(tmp_path), []

    def counted(key, records, runs):
        computed.append(sorted(runs.outcomes))
        return method_row(key, records, runs)

    monkeypatch.setattr("flatqat.bench.report.families.method_row", counted)
    fill(store)
    rows(store)
    assert computed == [[0, 1, 2]] * 2 * len(TARGETS)
    computed.clear()
    put(store, replace(QAT, suite="f@art", seed=7))
    rows(store)
    assert computed.count([0, 1, 2, 7]) == 1
    assert len(computed) == 2 * len(TARGETS) + 1


def test_the_report_shows_a_family_once_and_its_members_shift_by_shift(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store)
    put(store, replace(FP, suite="other", seed=0))
    broken = Record(cell=replace(QAT, suite="f@photo", quant="2"), status="failed", reason="no memory")
    store.write_record(broken)
    text = render(store, None, "md", "method")
    assert text.count("### ") == 2
    assert "### f v1 · m · recipe b\n" in text
    assert "failed" in text
    assert "no memory" in text
    header, _, *lines = [line for line in text.splitlines() if line.startswith("|")][:10]
    assert [cell.strip() for cell in header.split("|")[1:-1]][:8] == [
        "method", "bits", "domain", "seeds", "ID", "OOD", "gap", "oracle",
    ]  # fmt: skip
    assert len([line for line in lines if "| mean" in line]) == 2
    assert "mean: over the domains" in text
    assert render(store, None, "md", "shift").count("### ") == 4
    assert "f@photo" in render(store, None, "md", "shift")
    for form in ("csv", "json", "latex"):
        assert "sketch" in render(store, None, form, "method")  # type: ignore[arg-type]


def test_a_family_is_reported_by_its_name_and_a_member_by_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, seeds=(0,))
    put(store, replace(FP, suite="other"))
    assert {r.cell.suite for r in store.records("f")} == {f"f@{target}" for target in TARGETS}
    assert {r.cell.suite for r in store.records("f@art")} == {"f@art"}
    assert {r.cell.suite for r in store.records("other")} == {"other"}
    assert len(load(store, "f")) == 3


def test_records_of_other_protocols_are_other_families(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, seeds=(0,))
    for target in TARGETS:
        put(store, replace(FP, suite=f"f@{target}", weights="ab" * 32))
    assert len(merged(sections(store.records()))) == 2


def test_a_whole_family_runs_and_reports(tmp_path: Path) -> None:
    registry.add_plugin(HELPERS / "toy_family.py")
    request = Request(
        suites=("toy-family",), methods=("fp", "ptq"), bits=("4",), seeds=(0, 1), results=tmp_path,
        spaces=(),
    )  # fmt: skip
    records = run_plan(make_plan(request))
    assert len(records) == 3 * 2 * 2
    assert all(record.status == "done" for record in records)
    (family,) = merged(sections(records))
    table = by_domain(family, Store(tmp_path)).set_index(["method", "domain"])
    assert list(table.loc["fp"].index) == ["dark", "plain", "light", "mean"]
    assert table.loc[("fp", "mean"), "seeds"] == 2
    assert table.loc[("fp", "mean"), "id_top1"] > 60  # chance is 25%
    assert table["extra_gap"].notna().sum() == 4
    again = run_plan(make_plan(request))
    assert [r.scores for r in again] == [r.scores for r in records]
