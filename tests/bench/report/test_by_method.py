"""Tables against the same numbers computed by hand from outcomes: means, errors, pairing, separation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method
from flatqat.bench.report.by_shift import by_shift
from flatqat.bench.report.render import render
from flatqat.spec import Cell, Record
from tests.helpers.errors_by_hand import by_hand
from tests.helpers.records import margins_of, protocol, scores_of, shift_info

CELL = Cell(suite="s", suite_version=1, model="m", method="qat", quant="4", recipe="b", seed=0)
SHIFTS = {
    "val": shift_info("val", image_set="val", in_mean=False),
    "id": shift_info("id"),
    "fog/1": shift_info("weather", severity=1),
    "fog/2": shift_info("weather", severity=2),
    "spatter/1": shift_info("extra", severity=1, in_mean=False),
}
N = 300


def right(cell: Cell) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([cell.seed, *cell.method.encode(), *cell.quant.encode()])
    share = {"id": 0.9, "fog/1": 0.8, "fog/2": 0.6, "spatter/1": 0.1, "val": 0.9}
    return {shift: rng.random(N) < share[shift] for shift in SHIFTS}


def put(store: Store, cell: Cell) -> dict[str, np.ndarray]:
    outcomes = right(cell)
    how = protocol(SHIFTS, suite="p", reference=cell.method == "fp")
    store.write_record(
        Record(cell=cell, status="done", scores=scores_of(outcomes), protocol=how),
        margins_of(outcomes),
    )
    return outcomes


def ood(outcomes: dict[str, np.ndarray]) -> np.ndarray:
    """Each image's share of right answers over the headline's shifts."""
    return np.mean([outcomes["fog/1"], outcomes["fog/2"]], axis=0)


def test_one_seed_has_errors_over_images(tmp_path):
    store = Store(tmp_path)
    outcomes = put(store, CELL)
    (section,) = sections(store.records())
    (row,) = by_method(section, store).to_dict("records")
    per_image = 100 * ood(outcomes)
    assert row["seeds"] == 1
    assert row["id_top1"] == pytest.approx(100 * outcomes["id"].mean())
    assert row["id_top1_stderr"] == pytest.approx(100 * np.std(outcomes["id"], ddof=1) / N**0.5)
    assert row["ood_top1"] == pytest.approx(per_image.mean())
    expected = by_hand([per_image[None]])
    assert row["ood_top1_stderr"] == pytest.approx(np.std(per_image, ddof=1) / N**0.5)
    assert (row["ood_top1_low"], row["ood_top1_high"]) == pytest.approx(expected.share)
    assert row["ood_top1_seed_sd"] is None


def test_several_seeds_have_errors_over_seeds_and_pair_with_the_reference_of_their_seed(tmp_path):
    store = Store(tmp_path)
    runs = {
        (method, seed): put(store, replace(CELL, method=method, quant=quant, seed=seed))
        for method, quant in (("fp", "fp"), ("qat", "4"))
        for seed in (0, 1, 2)
        if (method, seed) != ("fp", 1)  # no reference for seed 1: it takes no part in the extra gap
    }
    (section,) = sections(store.records())
    rows = {row["method"]: row for row in by_method(section, store).to_dict("records")}
    means = [100 * ood(runs["qat", seed]).mean() for seed in (0, 1, 2)]
    of_ood = by_hand([np.array([100 * ood(runs["qat", seed]) for seed in (0, 1, 2)])])
    assert rows["qat"]["ood_top1"] == pytest.approx(np.mean(means))
    assert rows["qat"]["ood_top1_seed_sd"] == pytest.approx(np.std(means, ddof=1))
    assert rows["qat"]["ood_top1_stderr"] == pytest.approx(of_ood.stderr)
    assert (rows["qat"]["ood_top1_low"], rows["qat"]["ood_top1_high"]) == pytest.approx(of_ood.share)

    def gap(method: str, seed: int) -> np.ndarray:
        return 100 * (runs[method, seed]["id"] - ood(runs[method, seed]))

    expected = by_hand([np.array([gap("qat", seed) - gap("fp", seed) for seed in (0, 2)])])
    shown = [rows["qat"][f"extra_gap{end}"] for end in ("", "_low", "_high")]
    assert shown == pytest.approx([expected.value, expected.low, expected.high])
    assert rows["qat"]["extra_gap_seeds"] == 2


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
@pytest.mark.parametrize("view", ["method", "shift", "family", "severity"])
def test_a_report_reads_each_file_once(tmp_path, monkeypatch, view, form):
    variants = (("fp", "fp"), ("qat", "4"), ("sam", "4"))
    cells = [replace(CELL, method=m, quant=q, seed=s) for m, q in variants for s in (0, 1)]
    store, read = Store(tmp_path), []
    for cell in cells:
        put(store, cell)
    read_bytes = Path.read_bytes

    def counted(path):
        read.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    render(store, None, form, view)
    files = [path(cell) for cell in cells for path in (store.record_path, store.outcomes_path)]
    assert sorted(path for path in read if "records" in path.parts) == sorted(files)
    assert len([path for path in read if "data" in path.parts]) <= 1


@pytest.mark.parametrize(
    ("view", "groups"),
    [
        ("shift", {shift: [shift] for shift in SHIFTS}),
        ("family", {"weather": ["fog/1", "fog/2"], "extra": ["spatter/1"], "id": ["id"], "val": ["val"]}),
        ("severity", {1: ["fog/1"], 2: ["fog/2"], "id": ["id"], "val": ["val"]}),
    ],
)
def test_views_are_means_over_seeds_and_shifts(tmp_path, view, groups):
    store = Store(tmp_path)
    runs = [put(store, replace(CELL, seed=seed)) for seed in (0, 1)]
    (section,) = sections(store.records())
    table = by_shift(section, view).set_index(view)["qat 4"]
    assert set(table.index) == set(groups)
    whole = by_shift(section, view, store).set_index(view)
    assert list(whole) == ["qat 4", "qat 4 low", "qat 4 high"]
    for key, members in groups.items():
        assert table[key] == pytest.approx(100 * np.mean([run[s].mean() for run in runs for s in members]))
        expected = by_hand([np.array([100 * np.mean([run[s] for s in members], axis=0) for run in runs])])
        ends = (whole.loc[key, "qat 4 low"], whole.loc[key, "qat 4 high"])
        assert ends == pytest.approx(expected.share)


def test_a_family_counts_the_shifts_that_count_in_ood_where_it_has_some(tmp_path):
    """The gate and `bench diff` do so, too: one name has one number."""
    store = Store(tmp_path)
    right = put(store, CELL)
    record = store.record(CELL)
    assert record
    shifts = {**record.protocol.shifts}
    shifts["fog/2"] = replace(shifts["fog/2"], in_mean=False)
    store.write_record(replace(record, protocol=replace(record.protocol, shifts=shifts)), margins_of(right))
    (section,) = sections(store.records())
    found = by_shift(section, "family", store).set_index("family")["qat 4"]
    assert found["weather"] == pytest.approx(100 * right["fog/1"].mean())
    assert found["extra"] == pytest.approx(100 * right["spatter/1"].mean())


@pytest.mark.parametrize(
    "change",
    [
        {"suite_version": 2},
        {"model": "x"},
        {"recipe": "x"},
        {"recipe_args": (("steps", 3),)},
        {"weights": "ab" * 32},
        {"limit": 5},
        {"amp": True},
    ],
    ids=str,
)
def test_what_was_made_otherwise_stands_in_a_table_of_its_own(tmp_path, change):
    store = Store(tmp_path)
    put(store, CELL)
    put(store, replace(CELL, **change))
    assert len(sections(store.records())) == 2


def test_severities_are_shown_as_the_whole_numbers_they_are(tmp_path):
    store = Store(tmp_path)
    put(store, CELL)
    rows = [line.split("|")[1].strip() for line in render(store, None, "md", "severity").splitlines()[4:8]]
    assert rows == ["id", "1", "2", "val"]
