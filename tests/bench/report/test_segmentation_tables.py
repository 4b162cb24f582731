"""Tables of segmentation records against mIoU computed by hand from the stored confusion matrices."""

import json
import math
from dataclasses import asdict, replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import torch

from flatqat.bench.records.paired import outcomes_of
from flatqat.bench.records.record_json import record_to_dict, to_json
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method
from flatqat.bench.report.by_shift import by_shift
from flatqat.bench.report.marks import NO_SCATTER
from flatqat.bench.report.render import render
from flatqat.errors import StoreError, UsageError
from flatqat.metrics.metric import METRICS
from flatqat.metrics.task import task_of
from flatqat.spec import Cell, Record, Score
from tests.helpers.errors_by_hand import by_hand, jackknife
from tests.helpers.records import margins_of, protocol, scores_of, shift_info
from tests.helpers.street_records import FP, NAMES, SHIFTS, Matrices, iou, matrices, miou, put

QAT = replace(FP, method="qat", quant="4")
CONDITIONS = ("fog", "night")


def fill(store: Store, seeds: tuple[int, ...] = (0,)) -> dict[tuple[str, int], Matrices]:
    found = {}
    for cell, loss in ((FP, 0.0), (QAT, 0.1)):
        for seed in seeds:
            found[cell.method, seed] = matrices(seed=7 * seed + len(cell.method), loss=loss)
            put(store, replace(cell, seed=seed), found[cell.method, seed])
    return found


def put_classification(store: Store) -> None:
    """A record of a suite with top-1 in the same folder."""
    right = {shift: np.random.default_rng(0).random(50) < 0.6 for shift in SHIFTS}
    how = protocol(SHIFTS, suite="p", reference=True)
    cell = Cell(suite="pictures", suite_version=1, model="m", method="fp", quant="fp", recipe="b", seed=0)
    store.write_record(
        Record(cell=cell, status="done", scores=scores_of(right), protocol=how),
        margins_of(right),
    )


def rows(store: Store) -> dict[str, dict]:
    (section,) = sections(store.records())
    return {row["method"]: row for row in by_method(section, store).to_dict("records")}


def mean_of_conditions(of: Matrices) -> float:
    return float(np.mean([miou(of[shift].sum(axis=0)) for shift in CONDITIONS]))


def pooled(of: Matrices) -> float:
    return miou(sum(of[shift].sum(axis=0) for shift in CONDITIONS))


def test_the_three_names(tmp_path):
    """By condition, pooled over them, and the mean of them."""
    store = Store(tmp_path)
    found = fill(store)
    (section,) = sections(store.records())
    row, of = rows(store)["qat"], found["qat", 0]
    assert row["id_miou"] == pytest.approx(miou(of["id"].sum(axis=0)))
    assert row["id_miou_stderr"] == pytest.approx(spread_of(of["id"]))
    assert row["images"] == 30
    assert row["ood_miou"] == pytest.approx(mean_of_conditions(of))
    assert row["pooled_miou"] == pytest.approx(pooled(of))
    assert abs(row["pooled_miou"] - row["ood_miou"]) > 1
    assert row["gap"] == pytest.approx(row["id_miou"] - row["ood_miou"])
    shown = by_shift(section, "shift").set_index("shift")["qat 4"]
    assert dict(shown) == pytest.approx({shift: miou(each.sum(axis=0)) for shift, each in of.items()})
    assert not [name for name in row if "top1" in name]


def test_means_over_seeds_and_the_extra_gap(tmp_path):
    store, seeds = Store(tmp_path), (0, 1, 2)
    found = fill(store, seeds)
    row = rows(store)["qat"]
    means = [mean_of_conditions(found["qat", seed]) for seed in seeds]
    assert row["ood_miou"] == pytest.approx(np.mean(means))
    expected = by_hand([np.array([values_of(found["qat", s][c]) / 2 for s in seeds]) for c in CONDITIONS])
    assert row["ood_miou_stderr"] == pytest.approx(expected.stderr)
    assert (row["ood_miou_low"], row["ood_miou_high"]) == pytest.approx(expected.share)
    together = [pooled(found["qat", seed]) for seed in seeds]
    assert row["pooled_miou"] == pytest.approx(np.mean(together))
    assert row["pooled_miou_seed_sd"] == pytest.approx(np.std(together, ddof=1))
    assert row["pooled_miou_low"] < row["pooled_miou"] < row["pooled_miou_high"]

    def lost(shift: str) -> np.ndarray:
        runs = [(found["qat", seed][shift], found["fp", seed][shift]) for seed in seeds]
        return np.array([values_of(of_qat) - values_of(of_fp) for of_qat, of_fp in runs])

    expected = by_hand([lost("id"), *(-lost(condition) / 2 for condition in CONDITIONS)])
    shown = [row[f"extra_gap{end}"] for end in ("", "_low", "_high")]
    assert shown == pytest.approx([expected.value, expected.low, expected.high])
    assert pd.isna(rows(store)["fp"]["extra_gap"])


def spread_of(each: np.ndarray) -> float:
    """The standard error of one shift's mIoU, in points."""
    return float(values_of(each).std(ddof=1)) / len(each) ** 0.5


def values_of(each: np.ndarray) -> np.ndarray:
    """Values of the images whose mean is one shift's mIoU, in points."""
    return jackknife(each, lambda images: miou(images.sum(axis=0)))


def iou_values(each: np.ndarray, k: int) -> np.ndarray:
    """Values of the images whose mean is the IoU of class k, in percent."""
    return jackknife(each, lambda images: iou(images.sum(axis=0))[k])


def test_the_error_over_images_is_that_of_the_pseudo_values(tmp_path):
    """Of two conditions with images of their own: half the root of the sum of squares."""
    store = Store(tmp_path)
    of = matrices()
    put(store, FP, of)
    both = math.hypot(spread_of(of["fog"]), spread_of(of["night"])) / 2
    assert rows(store)["fp"]["ood_miou_stderr"] == pytest.approx(both)
    record = store.record(FP)
    shifts = {**SHIFTS, "night": replace(SHIFTS["night"], in_mean=False)}
    store.write_record(replace(record, protocol=replace(record.protocol, shifts=shifts)))
    assert rows(store)["fp"]["ood_miou_stderr"] == pytest.approx(spread_of(of["fog"]))


def test_the_error_of_pooled_over_images(tmp_path):
    """Of one condition that of its mIoU; of two that show the same images that of the summed counts."""
    store, of = Store(tmp_path), matrices()
    of["night"] = of["fog"] + of["night"][:20]
    put(store, FP, of)
    record = store.record(FP)
    for night, each in (
        ({"image_set": "fog", "in_mean": True}, of["fog"] + of["night"]),
        ({"in_mean": False}, of["fog"]),
    ):
        shifts = {**SHIFTS, "night": replace(SHIFTS["night"], **night)}
        store.write_record(replace(record, protocol=replace(record.protocol, shifts=shifts)))
        row = rows(store)["fp"]
        assert row["pooled_miou"] == pytest.approx(miou(each.sum(axis=0)))
        assert row["pooled_miou_stderr"] == pytest.approx(spread_of(each))
    shown = render(store, None, "md", "method")
    half = (row["pooled_miou_high"] - row["pooled_miou_low"]) / 2
    assert f"{row['pooled_miou']:.1f} ±{half:.1f}" in shown


def test_without_outcomes_what_needs_them_is_missing(tmp_path):
    store = Store(tmp_path)
    fill(store)
    store.outcomes_path(QAT).unlink()
    row = rows(store)["qat"]
    assert row["ood_miou"] > 0
    assert pd.isna(row["pooled_miou"])
    assert pd.isna(row["extra_gap"])


def test_what_a_meter_gives_survives_the_store(tmp_path):
    store = Store(tmp_path)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 20, 20, generator=generator)
    masks = torch.randint(3, (4, 20, 20), generator=generator)
    logits[0, 0, 0, 0] = torch.nan
    measured = task_of("segmentation").meter(3)
    measured.add(logits, masks)
    scores, outcomes = measured.result()
    store.write_scores(FP, "id", scores, asdict(outcomes))
    again, arrays, *_ = store.read_scores(FP, "id")
    assert again == scores
    how = protocol({"id": SHIFTS["id"]}, reference=True, metric="miou")
    record = Record(cell=FP, status="done", scores={"id": again}, protocol=how)
    store.write_record(record, {f"id:{name}": array for name, array in arrays.items()})
    read = outcomes_of(store.record(FP), store)["id"]
    np.testing.assert_array_equal(read, outcomes.counts)
    assert 100 * METRICS["miou"].values(read).mean() == pytest.approx(scores["miou"].value, rel=1e-12)


@pytest.mark.parametrize("view", ["method", "shift"])
def test_the_values_of_images_are_computed_once_a_shift_and_run(tmp_path, monkeypatch, view):
    store, seen = Store(tmp_path), []
    fill(store, (0, 1))
    values = METRICS["miou"].values
    counted = replace(METRICS["miou"], values=lambda counts: seen.append(len(counts)) or values(counts))
    monkeypatch.setitem(METRICS, "miou", counted)
    render(store, None, "json", view)
    assert len(seen) == len(store.records()) * len(SHIFTS)


def test_damaged_outcomes_are_named(tmp_path):
    store = Store(tmp_path)
    fill(store)
    other = {f"{s}:{name}": np.zeros(shape, np.uint8) for s in SHIFTS
             for name, shape in (("confusion", (4, 3, 3)), ("unpredicted", (4, 2)))}  # fmt: skip
    store.write_record(store.record(QAT), other)
    with pytest.raises(StoreError, match=r"qat.*npz: expected confusion \(n, C, C\)"):
        rows(store)
    fine = {name: array[..., :2] if "unpred" not in name else array for name, array in other.items()}
    store.write_record(store.record(QAT), {name: array[:, :2] for name, array in fine.items()})
    with pytest.raises(StoreError, match="as many images as its record"):
        rows(store)


@pytest.mark.parametrize(
    "change", [{"metric": "foo"}, {"class_names": "road"}, {"class_names": (*NAMES, "x")}]
)
def test_records_that_lack_what_reports_need_are_damaged(tmp_path, change):
    store = Store(tmp_path)
    put(store, FP, matrices())
    record = store.record(FP)
    changed = replace(record, protocol=replace(record.protocol, **change))
    store.record_path(FP).write_bytes(to_json(record_to_dict(changed)))
    with pytest.raises(StoreError, match=rf"json: protocol\.{next(iter(change))}: expected"):
        store.records()


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_by_class(tmp_path, seeds):
    store = Store(tmp_path)
    found = fill(store, seeds)
    table = pd.read_csv(StringIO(render(store, None, "csv", "class")))
    names = [f"{method} {which}" for method in ("fp", "qat 4") for which in ("ID", "OOD", *CONDITIONS)]
    ends = ("", " low", " high")
    assert list(table.columns) == ["section", "class", *(f"{name}{end}" for name in names for end in ends)]
    assert list(table["class"]) == NAMES
    text = render(store, None, "md", "class")
    for label, method in (("fp", "fp"), ("qat 4", "qat")):
        for k in range(len(NAMES)):
            conditions = CONDITIONS if k < 2 else ("night",)  # no train in the fog
            columns = {"ID": ("id",), "OOD": conditions, **{c: (c,) for c in conditions}}
            for which, shifts in columns.items():
                each = [iou(found[method, s][shift].sum(axis=0))[k] for s in seeds for shift in shifts]
                column = f"{label} {which}"
                assert table[column][k] == pytest.approx(np.mean(each), rel=1e-5)  # six digits
                values = [
                    np.array([iou_values(found[method, s][shift], k) for s in seeds]) for shift in shifts
                ]
                expected = by_hand([of_shift / len(shifts) for of_shift in values])
                low, high = table[f"{column} low"][k], table[f"{column} high"][k]
                assert (low, high) == pytest.approx(expected.share, rel=1e-4)
                half = (high - low) / 2
                assert f" {np.mean(each):.1f} ±{half:.1f} " in text
    assert np.isnan(table["fp fog"][2])
    assert np.isnan(table["fp fog low"][2])
    assert ("these training runs alone" in text) == (len(seeds) == 1)
    assert "| train " in text
    assert "IoU in percent" in text


def test_by_class_marks_what_comes_from_one_seed_among_others(tmp_path):
    store = Store(tmp_path)
    fill(store, (0, 1))
    store.record_path(replace(QAT, seed=1)).unlink()
    header, *_, below = render(store, None, "md", "class").splitlines()[2:]
    names = [cell.strip() for cell in header.split("|")[1:-1]]
    assert names[1:] == [
        *(f"fp {which}" for which in ("ID", "OOD", *CONDITIONS)),
        *(f"qat 4 {which} †" for which in ("ID", "OOD", *CONDITIONS)),
    ]
    assert "over seeds and images together. †: from one seed" in below
    assert "†" not in render(store, None, "csv", "class")


def test_a_class_in_other_shifts_from_seed_to_seed_has_no_interval(tmp_path):
    """By one seed a train is predicted in the fog, where there is none: 0% there, so half of night's."""
    store, others = Store(tmp_path), matrices(seed=1)
    others["fog"][:, 0, 2] += 5
    put(store, FP, matrices())
    put(store, replace(FP, seed=1), others)
    table = pd.read_csv(StringIO(render(store, None, "csv", "class"))).set_index("class")
    of_night = [iou(of["night"].sum(axis=0))[2] for of in (matrices(), others)]
    assert table["fp OOD"]["train"] == pytest.approx((of_night[0] + of_night[1] / 2) / 2, rel=1e-5)
    assert np.isnan([table["fp OOD low"]["train"], table["fp fog high"]["train"]]).all()
    assert np.isfinite([table["fp OOD low"]["car"], table["fp night low"]["train"]]).all()


def test_a_class_that_no_shift_has_is_a_dash_and_classes_without_names_are_numbered(tmp_path):
    store = Store(tmp_path)
    of = matrices()
    for each in of.values():
        each[:, 2] = 0
    put(store, FP, of)
    record = store.record(FP)
    store.write_record(replace(record, protocol=replace(record.protocol, class_names=())))
    last = render(store, None, "md", "class").splitlines()[6]
    assert [cell.strip() for cell in last.split("|")[1:-1]] == ["2", "-", "-", "-", "-"]


def cells_of(text: str) -> dict[str, list[str]]:
    """The texts of a Markdown table by the first of each row, its header among them."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    split = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {first: rest for first, *rest in split}


def test_the_last_row_of_classes_is_their_mean(tmp_path):
    store = Store(tmp_path)
    of = fill(store)["fp", 0]
    shown = cells_of(render(store, None, "md", "class"))
    assert list(shown) == ["class", *NAMES, "mIoU"]
    row = rows(store)["fp"]
    half = (row["ood_miou_high"] - row["ood_miou_low"]) / 2
    assert shown["mIoU"][0].startswith(f"{row['id_miou']:.1f} ±")
    assert shown["mIoU"][1] == f"{row['ood_miou']:.1f} ±{half:.1f}"
    assert shown["mIoU"][2].startswith(f"{miou(of['fog'].sum(axis=0)):.1f} ±")


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("fog", ["fp fog", "qat 4 fog"]),
        ("id", ["fp ID", "qat 4 ID"]),
        ("QAT 4", ["qat 4 ID", "qat 4 OOD", "qat 4 fog", "qat 4 night"]),
        ("qat", ["qat 4 ID", "qat 4 OOD", "qat 4 fog", "qat 4 night"]),
        ("fp", ["fp ID", "fp OOD", "fp fog", "fp night"]),
        ("qat 4 fog", ["qat 4 fog"]),
    ],
)
def test_columns_of_classes_by_what_they_share(tmp_path, name, columns):
    store = Store(tmp_path)
    fill(store)
    assert cells_of(render(store, None, "md", "class", columns=[name]))["class"] == columns
    table = pd.read_csv(StringIO(render(store, None, "csv", "class", columns=[name])))
    assert list(table.columns) == ["section", "class", *columns]
    with pytest.raises(UsageError, match="unknown column 'hail'"):
        render(store, None, "md", "class", columns=[name, "hail"])


@pytest.mark.parametrize("view", ["family", "shift"])
def test_id_is_first_and_val_last_with_the_errors_of_each(tmp_path, view):
    """Records are read back with their shifts in alphabetical order."""
    store = Store(tmp_path)
    fill(store)
    text = render(store, None, "md", view)
    first, *_, last = list(cells_of(text))[1:]
    assert (first, last) == ("id", "val")
    row = rows(store)["qat"]
    half = (row["id_miou_high"] - row["id_miou_low"]) / 2
    assert cells_of(text)["id"][1] == f"{row['id_miou']:.1f} ±{half:.1f}"
    assert "for these training runs alone" in text
    table = pd.read_csv(StringIO(render(store, None, "csv", view)))
    assert [table[view].iloc[0], table[view].iloc[-1]] == ["id", "val"]


def dead(of: Matrices, k: int) -> Matrices:
    """Class k is never right: its pixels are false alarms of another."""
    for each in of.values():
        each[:, k, (k + 1) % 2] += each[:, k, k]
        each[:, k, k] = 0
    return of


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_an_iou_that_no_image_changes_has_no_interval(tmp_path, seeds):
    """Wilson's interval of 0 of n images is one of a share of images, which an IoU is not."""
    store = Store(tmp_path)
    for seed in seeds:
        put(store, replace(FP, seed=seed), dead(matrices(seed=seed), 1))
    table = pd.read_csv(StringIO(render(store, None, "csv", "class"))).set_index("class")
    assert table.loc["car", "fp ID"] == 0
    assert np.isnan(table.loc["car", ["fp ID low", "fp OOD high", "fp fog low"]].astype(float)).all()
    assert np.isfinite(table.loc["road", ["fp ID low", "fp OOD high"]].astype(float)).all()
    text = render(store, None, "md", "class")
    (row,) = [line for line in text.splitlines() if line.startswith("| car")]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["0.0"] * 4
    assert NO_SCATTER in text


@pytest.mark.parametrize("right", [False, True])
def test_nor_has_an_miou_of_nothing_or_everything(tmp_path, right):
    store, of = Store(tmp_path), matrices()
    for each in of.values():
        truth = each.sum(axis=2)
        each[:] = 0
        for k in range(3):
            each[:, k, k if right else (k + 1) % 3] = truth[:, k]
    put(store, FP, of)
    row = rows(store)["fp"]
    assert row["id_miou"] == (100 if right else 0)
    assert pd.isna([row["id_miou_low"], row["ood_miou_high"], row["pooled_miou_low"]]).all()
    (section,) = sections(store.records())
    assert by_shift(section, "shift", store)["fp low"].isna().all()


def test_a_share_of_images_has_one(tmp_path):
    right = {shift: np.zeros(50, bool) for shift in SHIFTS}
    how = protocol(SHIFTS, suite="p", reference=True)
    cell = Cell(suite="pictures", suite_version=1, model="m", method="fp", quant="fp", recipe="b", seed=0)
    store = Store(tmp_path)
    store.write_record(
        Record(cell=cell, status="done", scores=scores_of(right), protocol=how), margins_of(right)
    )
    assert rows(store)["fp"]["id_top1_high"] == pytest.approx(7.5, abs=0.3)  # Wilson, 0 of 50 by t of 49


def test_by_class_is_refused_for_classification(tmp_path):
    store = Store(tmp_path)
    fill(store)
    put_classification(store)
    with pytest.raises(UsageError, match=r"expected segmentation suites, got pictures; .* --suite"):
        render(store, None, "md", "class")
    assert "road" in render(store, "streets", "md", "class")


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
def test_by_class_tells_of_cells_that_all_failed(tmp_path, form):
    store = Store(tmp_path)
    store.write_record(Record(cell=FP, status="failed", reason="the loss is nan"))
    assert ("the loss is nan" in render(store, None, form, "class")) == (form != "csv")


def test_a_folder_of_both_tasks_reports_both(tmp_path):
    store, alone = Store(tmp_path / "both"), Store(tmp_path / "alone")
    fill(store)
    for each in (store, alone):
        put_classification(each)
    text, pictures = (render(each, None, "md", "method") for each in (store, alone))
    assert text.startswith(pictures)
    head, streets = pictures, text.removeprefix(pictures)
    assert "ID, OOD: top-1 in percent" in head
    assert "ID, OOD: mIoU in percent" in streets
    assert "top-1" not in streets
    header = next(line for line in streets.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in header.split("|")[1:-1]][:6] == [
        "method", "bits", "ID", "OOD", "pooled", "gap",
    ]  # fmt: skip
    for view in ("method", "shift", "family", "severity"):
        for form in ("csv", "json", "latex"):
            render(store, None, form, view)
    table = pd.read_csv(StringIO(render(store, None, "csv", "method")))
    assert table["id_top1"].notna().tolist() == [True, False, False]
    assert table["id_miou"].notna().tolist() == [False, True, True]
    assert table["pooled_miou"].notna().tolist() == [False, True, True]
    columns = render(alone, None, "csv", "method").splitlines()[0].split(",")
    assert list(table.columns)[: len(columns)] == columns
    titles = [section["title"].split()[0] for section in json.loads(render(store, None, "json", "method"))]
    assert titles == ["pictures", "streets"]


def test_more_than_ten_classes_keep_their_names(tmp_path):
    """Stored records sort their scores as text, where 10 comes before 2."""
    store, names = Store(tmp_path), [f"class {k}" for k in range(12)]
    scores = {"miou": Score(value=50.0, n=2), "nll": Score(value=1.0, n=2), "ece": Score(value=2.0, n=2)}
    scores |= {f"iou/{k}": Score(value=float(k), n=2) for k in range(12)}
    shifts = {"id": shift_info("id"), "val": shift_info("id", in_mean=False), "fog": shift_info("id")}
    how = protocol(shifts, reference=True, metric="miou", class_names=tuple(names))
    store.write_record(
        Record(
            cell=FP,
            status="done",
            scores=dict.fromkeys(shifts, scores),
            protocol=how,
        )
    )
    table = pd.read_csv(StringIO(render(store, None, "csv", "class")))
    assert dict(zip(table["class"], table["fp ID"], strict=True)) == {f"class {k}": k for k in range(12)}
