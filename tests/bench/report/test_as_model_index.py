"""Metadata of model cards: what a YAML reader makes of it is what the tables say."""

import json
from dataclasses import replace

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.as_model_index import _yaml
from flatqat.bench.report.render import frame, load, render
from flatqat.spec import Record
from tests.helpers import RESULTS
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.gate_records import CELL
from tests.helpers.street_records import FP, matrices, put

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
FIRST_LOOK = Store(RESULTS / "first-look")


def entries(store):
    data = yaml.safe_load(render(store, None, "hf", "method"))
    assert [*data] == ["model-index"]
    return data["model-index"]


def test_every_row_has_id_and_ood_as_the_table_has_them():
    found = entries(FIRST_LOOK)
    (section,) = load(FIRST_LOOK, None)
    table = frame(section, FIRST_LOOK, "method")
    assert [entry["name"] for entry in found] == ["tiny fp", "tiny qat 4", "tiny anchor 4"]
    for entry, (_, row) in zip(found, table.iterrows(), strict=True):
        assert [result["dataset"]["split"] for result in entry["results"]] == ["id", "ood"]
        for result, name in zip(entry["results"], ("id_top1", "ood_top1"), strict=True):
            assert result["task"] == {"type": "image-classification", "name": "Image Classification"}
            assert result["dataset"]["type"] == "digits-c"
            assert result["dataset"]["args"] == {"version": 3, "recipe": "default", "data": "97c1cbc2"}
            (metric,) = result["metrics"]
            assert metric["type"] == "accuracy"
            assert metric["value"] == round(row[name], 4)
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            interval = f"95% interval {low:.1f} to {high:.1f}"
            assert metric["name"] == f"top-1 in percent, mean over 3 seeds, {interval}"
            assert result["source"]["url"].startswith("https://")


def test_segmentation_has_its_own_task_and_metric(tmp_path):
    store = Store(tmp_path)
    put(store, FP, matrices())
    (entry,) = entries(store)
    result = entry["results"][0]
    assert (result["task"]["type"], result["metrics"][0]["type"]) == ("image-segmentation", "mean_iou")
    (record,) = store.records()
    assert result["metrics"][0]["value"] == round(record.scores["id"]["miou"].value, 4)
    assert "one seed" in result["metrics"][0]["name"]


def test_settings_and_left_out_domains_are_arguments(tmp_path):
    (record,) = FIRST_LOOK.records()[:1]
    cell = replace(record.cell, suite="pacs@art", recipe_args=(("lr", 1e-05),), limit=7, amp=True, adapt="bn")
    store = Store(tmp_path)
    store.write_record(replace(record, cell=cell, outcomes_sha256=""))
    (entry,) = entries(store)
    dataset = entry["results"][0]["dataset"]
    assert (dataset["type"], dataset["config"]) == ("pacs", "art")
    settings = {"version": 3, "recipe": "default", "recipe.lr": 1e-05, "limit": 7, "adapt": "bn"}
    settings |= {"bfloat16": True}
    assert dataset["args"] == {**settings, "data": "97c1cbc2"}
    assert "interval" not in entry["results"][0]["metrics"][0]["name"]  # no outcomes, no errors


HOSTILE = 'a: "b"\n- !!python/object:x # \x1b[31m \u2028 \x85 \ufeff \ud800 \U0001f600 {[&*'


def test_texts_of_records_stay_texts(tmp_path):
    (record,) = FIRST_LOOK.records()[:1]
    store = Store(tmp_path)
    cell = replace(record.cell, model="yes", method="- &a *b", recipe_args=(("on", "no\n- name: x"),))
    store.write_record(replace(record, cell=cell, outcomes_sha256=""))
    failed = Record(cell=replace(cell, seed=9), status="failed", reason="x\nmodel-index: []\n---")
    store.write_record(failed)
    (entry,) = entries(store)
    assert entry["name"] == "yes - &a *b 4"
    assert entry["results"][0]["dataset"]["args"]["recipe.on"] == "no - name: x"
    first = render(store, None, "hf", "method").partition("\n")[0]
    assert first.startswith("# failed: ")
    assert first.endswith("x model-index: [] ---")


@pytest.mark.parametrize(
    "value",
    [
        HOSTILE,
        "",
        "null",
        "1e3",
        "0x1f",
        "~",
        "2026-11-28",
        "'",
        '"',
        "\\",
        "é·±",
        "on",
        0,
        -1.5,
        1e-300,
        1e22,
        True,
        None,
    ],
    ids=ascii,
)
def test_whatever_a_value_is_a_reader_gets_it(value):
    read = yaml.safe_load("\n".join(_yaml({"on": [{"a": value, "b": {}, "c": []}]})))
    (got,) = read["on"]
    assert got["b"] == {}
    assert got["c"] == []
    assert type(got["a"]) is type(value)
    if value is HOSTILE:
        assert got["a"].startswith('a: "b" - !!python/object:x # ')
    else:
        assert got["a"] == value


def test_the_command_writes_it_and_refuses_other_views(flatqat, tmp_path):
    args = ("bench", "report", "--results", FIRST_LOOK.root, "--format", "hf")
    assert flatqat(*args, "--output", tmp_path / "card.yaml").code == 0
    assert (tmp_path / "card.yaml").read_text() == flatqat(*args).out
    assert_one_line_error(flatqat(*args, "--by", "shift"), "--format hf: expected no --by, got shift")


def test_without_a_finished_cell_the_list_is_empty(tmp_path):
    store = Store(tmp_path)
    store.write_record(Record(cell=CELL, status="failed", reason="no memory"))
    assert entries(store) == []
    assert json.dumps("no memory")[1:-1] in render(store, None, "hf", "method")
