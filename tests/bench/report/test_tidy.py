"""The tidy table holds the numbers of the reports."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method
from flatqat.bench.report.tidy import DTYPES, load_results
from flatqat.errors import StoreError
from flatqat.spec import Record
from tests.helpers import RESULTS
from tests.helpers.street_records import FP, SHIFTS, matrices, put
from tests.helpers.study_records import CELL, planted, right_of
from tests.helpers.study_records import put as put_study

ROW = ["section", "method", "bits"]


@pytest.mark.parametrize("name", ["first-look", "first-study"])
def test_the_means_of_the_reports_come_out_of_it(name):
    """All of NLL, ECE and top-1, ID and OOD, and the images behind them."""
    store, table = Store(RESULTS / name), load_results(RESULTS / name)
    assert list(table.columns) == list(DTYPES)
    assert table["cell"].nunique() == len(store.records())
    in_id = table.query("shift == 'id'")
    ood = table.query("in_mean")
    for metric in ("top1", "nll", "ece"):
        id_means = in_id[in_id["metric"] == metric].groupby(ROW)["value"].mean()
        runs = ood[ood["metric"] == metric].groupby([*ROW, "seed"])["value"].mean()
        ood_means = runs.groupby(ROW).mean()
        rows = 0
        for section in sections(store.records()):
            for row in by_method(section, store).to_dict("records"):
                key = (section.title, row["method"], row["bits"])
                assert id_means[key] == pytest.approx(row[f"id_{metric}"], rel=1e-12)
                assert ood_means[key] == pytest.approx(row[f"ood_{metric}"], rel=1e-12)
                assert set(in_id.set_index(ROW).loc[key, "n"]) == {row["images"]}
                rows += 1
        assert rows == len(ood_means) == len(id_means)


def test_what_is_not_known_is_missing_and_failures_have_one_row(tmp_path):
    store = planted(tmp_path, seeds=(0,))
    shifts = store.record(CELL).protocol  # a foreign record may have a protocol of what was never scored
    failed = Record(
        cell=replace(CELL, seed=9, limit=7), status="failed", reason="the loss is nan", protocol=shifts
    )
    store.write_record(failed)
    table = load_results(str(tmp_path))
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == DTYPES
    (row,) = table.query("status == 'failed'").to_dict("records")
    assert (row["cell"], row["reason"], row["seed"], row["limit"]) == (
        failed.cell.id,
        "the loss is nan",
        9,
        7,
    )
    assert all(pd.isna(row[name]) for name in ("shift", "metric", "value", "n", "in_mean", "reference"))
    done = table.query("status == 'done'")
    assert len(done) == 9 * 6 * 3  # methods, shifts, metrics
    assert done["limit"].isna().all()
    assert done.query("shift == 'fog/1'")["severity"].eq(1).all()
    assert done.query("shift == 'id'")["severity"].isna().all()
    assert set(done.query("reference")["method"]) == {"fp"}
    assert len(table.query("shift == 'id' and metric == 'top1'")) == 9


def test_settings_and_undefined_values_and_suites(tmp_path):
    store = Store(tmp_path)
    put(store, FP, matrices())
    planted(tmp_path, seeds=(0,))
    put(store, replace(FP, method="anchor", quant="4", method_args=(("strength", 0.2),)), matrices())
    table = load_results(tmp_path, suite="streets")
    assert set(table["method"]) == {"fp", "anchor(strength=0.2)"}
    train = table.query("shift == 'fog' and metric == 'iou/2'")
    assert np.isnan(train["value"]).all()  # none stands in the fog
    assert (train["n"] == 20).all()
    assert set(table["shift"]) == set(SHIFTS)
    assert set(load_results(tmp_path)["suite"]) == {"streets", "s"}


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(
        StoreError, match=r"expected records in .*, got none; make some with: flatqat bench run"
    ):
        load_results(tmp_path)
    with pytest.raises(StoreError, match="nowhere: expected a folder, found none"):
        load_results(tmp_path / "nowhere")


def test_flatness_is_that_of_the_reports_and_settings_are_texts(tmp_path):
    store = planted(tmp_path, seeds=(0, 1))
    cell = replace(CELL, method_args=(("mode", "x"), ("strength", 0.5)), recipe_args=(("lr", 0.1),))
    put_study(store, cell, right_of(0, 0.1, {}, [0]))
    table = load_results(tmp_path).drop_duplicates("cell")
    means = table.groupby(ROW)[["lambda_max", "sharpness", "sharpness_sam"]].mean()
    compared = 0
    for section in sections(store.records()):
        for row in by_method(section, store).to_dict("records"):
            for name, value in means.loc[(section.title, row["method"], row["bits"])].items():
                expected = np.nan if row[name] is None else row[name]
                assert value == pytest.approx(expected, rel=1e-12, nan_ok=True)
                compared += bool(np.isfinite(value))
    assert compared
    settings = dict(zip(table["cell"], table["settings"], strict=True))
    assert settings.pop(cell.id) == "mode=x, strength=0.5, recipe.lr=0.1"
    assert set(settings.values()) == {""}
    assert table["revision"].isna().all()


def test_all_revisions_have_the_names_of_reports(tmp_path):
    store = Store(tmp_path)
    for code in "ab":
        cell = replace(CELL, method="mine", plugins=code * 12)
        put_study(store, cell, right_of(0, 0.1, {}, [0]))
        store.write_record(replace(store.record(cell), last_run=code))
    (latest,) = load_results(tmp_path).drop_duplicates("cell").to_dict("records")
    assert (latest["method"], latest["revision"], latest["older"]) == ("mine", "bbbbbb", False)
    table = load_results(tmp_path, all_revisions=True).drop_duplicates("cell").set_index("revision")
    assert table["method"].to_dict() == {
        "aaaaaa": "mine (revision aaaaaa)",
        "bbbbbb": "mine (revision bbbbbb, latest)",
    }
    assert table["older"].to_dict() == {"aaaaaa": True, "bbbbbb": False}
