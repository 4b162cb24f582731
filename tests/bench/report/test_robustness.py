"""mCE and effective robustness out of stored records, against the definitions written out."""

import numpy as np
import pytest

from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method
from flatqat.bench.report.by_shift import by_shift
from flatqat.bench.report.render import render
from flatqat.metrics.mce import ALEXNET
from flatqat.spec import Cell, Record, Score
from tests.helpers.errors_by_hand import by_hand
from tests.helpers.records import margins_of, protocol, scores_of, shift_info

CELL = Cell(suite="s", suite_version=1, model="m", method="fp", quant="fp", recipe="b", seed=0)
N = 400
CORRUPTIONS = [f"{name}/{severity}" for name in ALEXNET for severity in range(1, 6)]


def put(store: Store, cell: Cell, **fields) -> dict[str, np.ndarray]:
    """A record whose images are harder in common, so that shifts of one image go together."""
    rng = np.random.default_rng(cell.seed)
    hard = rng.random(N)
    shares = {"val": 0.8, "id": 0.75, **{s: 0.7 - 0.1 * int(s[-1]) for s in CORRUPTIONS}}
    right = {s: hard + 0.3 * rng.standard_normal(N) < share for s, share in shares.items()}
    shifts = {s: shift_info("f", severity=int(s[-1]) if "/" in s else None) for s in right}
    shifts["val"] = shift_info("val", image_set="val", in_mean=False)
    store.write_record(
        Record(
            cell=cell,
            status="done",
            scores={
                s: {**scores, "top1_unmasked": Score(value=scores["top1"].value / 2, n=N)}
                for s, scores in scores_of(right).items()
            },
            protocol=protocol(shifts, suite="p", reference=True, **fields),
        ),
        margins_of(right),
    )
    return right


def row_of(store: Store) -> dict:
    (section,) = sections(store.records())
    (row,) = by_method(section, store).to_dict("records")
    return row


def test_mce_and_its_error_over_images(tmp_path):
    store = Store(tmp_path)
    right = put(store, CELL, normalizer="alexnet")
    row = row_of(store)
    wrong = {name: np.mean([~right[f"{name}/{s}"] for s in range(1, 6)]) for name in ALEXNET}
    expected = np.mean([100 * 100 * wrong[name] / ALEXNET[name] for name in ALEXNET])
    assert row["mce"] == pytest.approx(expected)
    clean = 100 * (1 - right["id"].mean())
    relative = np.mean([100 * (100 * wrong[n] - clean) / (ALEXNET[n] - 43.5) for n in ALEXNET])
    assert row["relative_mce"] == pytest.approx(relative)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(400):
        i = rng.integers(N, size=N)
        draws.append(
            np.mean(
                [1e4 * np.mean([~right[f"{n}/{s}"][i] for s in range(1, 6)]) / ALEXNET[n] for n in ALEXNET]
            )
        )
    # The standard deviation of 400 draws is known to 1 in sqrt(800), 3.5%; three of those.
    assert row["mce_stderr"] == pytest.approx(np.std(draws), rel=0.11)


def test_mce_has_an_error_over_seeds_and_images(tmp_path):
    store = Store(tmp_path)
    runs = [put(store, Cell(**{**CELL.to_dict(), "seed": seed}), normalizer="alexnet") for seed in (0, 1, 2)]
    errors = [[~run[s] / ALEXNET[s.partition("/")[0]] for s in CORRUPTIONS] for run in runs]
    expected = by_hand([1e4 * np.mean(errors, axis=1)])
    row = row_of(store)
    assert row["mce"] == pytest.approx(expected.value)
    assert row["mce_stderr"] == pytest.approx(expected.stderr)
    assert row["mce_half_width"] == pytest.approx(expected.quantile * expected.stderr)


def test_effective_robustness_is_the_distance_to_the_line(tmp_path):
    store = Store(tmp_path)
    put(store, CELL, baseline="imagenet-v2@1")
    row = row_of(store)
    p = row["id_top1"] / 100
    line = 100 / (1 + np.exp(-(0.9232 * np.log(p / (1 - p)) - 0.4977)))
    assert row["effective_robustness"] == pytest.approx(row["ood_top1"] - line)


def test_other_suites_have_no_such_columns(tmp_path):
    store = Store(tmp_path)
    put(store, CELL)
    assert not {"mce", "relative_mce", "effective_robustness"} & row_of(store).keys()
    assert "mCE" not in render(store, None, "md", "method")


def test_columns_and_protocol_are_shown(tmp_path):
    store = Store(tmp_path)
    put(store, CELL, normalizer="alexnet", baseline="imagenet-v2@1", preprocessing="cut thus")
    text = render(store, None, "md", "method")
    row = row_of(store)
    assert f"{row['mce']:.1f} ±{row['mce_half_width']:.1f}" in text
    assert f"{row['effective_robustness']:+.1f}" in text
    assert "p; cut thus; data d; seed 0; mCE: errors in units of alexnet's" in text
    assert "line imagenet-v2@1" in text


def test_both_conventions_of_a_masked_set_are_rows(tmp_path):
    store = Store(tmp_path)
    right = put(store, CELL)
    (section,) = sections(store.records())
    shown = by_shift(section, "shift").set_index("shift")["fp"]
    assert shown["fog/1"] == pytest.approx(100 * right["fog/1"].mean())
    assert shown["fog/1 (no mask)"] == pytest.approx(50 * right["fog/1"].mean())
