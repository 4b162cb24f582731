"""Editing a plugin between runs: the newest revision counts everywhere, and nothing is ever refused."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from flatqat import load_results, registry
from flatqat.bench.records.revisions import newest, older, renewed
from flatqat.bench.records.sections import problems, sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import FORMATS, render
from flatqat.spec import Cell, Record
from tests.helpers import TOY
from tests.helpers.records import protocol, scores_of, shift_info, train_log

METHOD = """
from flatqat.methods.qat import QAT

SCALE = {}


class Rule(QAT):
    def task_gradient(self, x, y):
        loss = super().task_gradient(x, y)
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad *= SCALE
        return loss


METHOD = Rule
"""
NET = """
from torch import nn


def make(classes):
    body = nn.Conv2d(3, {width}, 3, stride=2), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*body, nn.Linear(49 * {width}, classes))
"""


@pytest.fixture
def student(flatqat, tmp_path):
    """Runs a method and a network of the student's own, after an edit."""
    rule, net = tmp_path / "my_rule.py", tmp_path / "net.py"

    def run(*options, scale=1.0, width=4, methods="fp,ptq,my-rule", bits="3"):
        rule.write_text(METHOD.format(scale))
        net.write_text(NET.format(width=width))
        registry.import_file.cache_clear()
        plugins = ("--plugin", rule, "--plugin", TOY, "--model", f"file:{net}:make")
        what = ("--suite", "toy", "--method", methods, "--bits", bits, "--no-flatness", "--device", "cpu")
        what += ("--seeds", "1", "--set", "recipe.pretrain_steps=3")
        return flatqat("bench", "run", *plugins, *what, "--results", tmp_path / "r", *options)

    def report(*options):
        done = flatqat("bench", "report", "--results", tmp_path / "r", *options)
        assert done.code == 0, done.err
        return done

    def section(*options):
        (found,) = json.loads(report("--format", "json", *options).out)
        return found

    def rows(*options):
        found = section(*options)
        return {row["method"]: row["id_nll"] for row in found["rows"]}, found["protocol"]

    def bits():
        return {row["bits"] for row in section()["rows"] if row["method"] == "my-rule"}

    return SimpleNamespace(run=run, report=report, rows=rows, bits=bits, results=tmp_path / "r")


def test_an_edited_method_shows_its_newest_numbers(student):
    assert "revision" not in student.run().out
    first, _ = student.rows()
    again = student.run(scale=0.0)
    assert again.code == 0
    assert "1 cell of older revisions of the code left out" in " ".join(again.out.split())
    newer, protocol_line = student.rows()
    assert set(newer) == {"fp", "ptq", "my-rule"}
    assert newer["my-rule"] != first["my-rule"]
    assert (newer["fp"], newer["ptq"]) == (first["fp"], first["ptq"])
    assert "1 cell of older revisions" in protocol_line
    everything, protocol_line = student.rows("--all-revisions")
    old, latest = sorted(set(everything) - set(newer), key=lambda name: name.endswith(", latest)"))
    assert re.fullmatch(r"my-rule \(revision \w{6}\)", old)
    assert re.fullmatch(r"my-rule \(revision \w{6}, latest\)", latest)
    assert (everything[old], everything[latest]) == (first["my-rule"], newer["my-rule"])
    assert set(everything) == {"fp", "ptq", old, latest}
    assert "older revisions" not in protocol_line
    assert old in student.run("--all-revisions", scale=0.0).out
    both = "--format", "study", "--against", "my-rule", "--all-revisions"
    assert f"called better or worse than `{latest}`" in student.report(*both).out


def test_a_table_never_mixes_the_code_of_a_sweep(student):
    """Only one value is run again after an edit, here of the bits; then it is undone, for the other."""
    student.run(bits="3,2")
    assert student.bits() == {"3", "2"}
    again = " ".join(student.run(bits="2", scale=0.0, methods="fp,my-rule").out.split())
    assert "2 cells of older revisions of the code left out" in again
    assert student.bits() == {"2"}
    everything, _ = student.rows("--all-revisions")
    assert sum(name.startswith("my-rule (revision ") for name in everything) == 2
    undone = student.run(bits="3")
    assert "3 of 3 cells stored" in undone.err
    assert "1 cell of older revisions of the code left out" in " ".join(undone.out.split())
    assert student.bits() == {"3", "2"}


def test_an_edit_that_is_undone_is_the_newest_again(student):
    student.run()
    first, _ = student.rows()
    student.run(scale=0.0)
    again = student.run()
    assert "3 of 3 cells stored" in again.err
    assert student.rows()[0] == first


def test_an_edited_network_shows_no_method_that_starts_from_the_old_one(student):
    student.run()
    student.run(width=6, methods="fp")
    now, protocol_line = student.rows()
    assert set(now) == {"fp"}
    assert "3 cells of older revisions" in protocol_line
    student.run(width=6)
    assert set(student.rows()[0]) == {"fp", "ptq", "my-rule"}
    everything, _ = student.rows("--all-revisions")
    assert len(everything) == 6


def test_all_readers_agree(student):
    student.run()
    student.run(scale=0.0)
    store = Store(student.results)
    tidy = load_results(student.results)
    ids = {record.cell.id for record in newest(store.records())}
    assert set(tidy["cell"]) == ids
    assert {r.cell.id for s in sections(store.records()) for row in s.rows.values() for r in row} == ids
    for form in FORMATS:
        assert render(store, None, form, "method", "ptq")


def record(name="my-rule", **fields):
    """A finished record of made-up code."""
    last_run = fields.pop("last_run", "")
    parent_label = fields.pop("parent_label", "start.safetensors")
    values = {
        "suite": "toy",
        "suite_version": 1,
        "model": "tiny",
        "quant": "3",
        "recipe": "default",
        "seed": 0,
    }
    cell = Cell(method=name, **{**values, **fields})
    return Record(
        cell=cell,
        status="done",
        protocol=protocol({"id": shift_info("id")}, parent=parent_label),
        train=train_log(),
        last_run=last_run,
    )


def kept(*records):
    assert newest(records[::-1]) == [r for r in reversed(records) if r.cell.id not in older(records)]
    return [records.index(r) for r in newest(records)]


def test_all_seeds_of_a_row_are_of_one_revision():
    assert kept(
        record(seed=0, plugins="a", last_run="1"),
        record(seed=1, plugins="a", last_run="2"),
        record(seed=0, plugins="b", last_run="3"),
    ) == [2]


def test_another_method_quantizer_version_or_weights_file_is_no_revision():
    records = (
        record(plugins="a", last_run="1"),
        record("other-rule", plugins="b", last_run="2"),
        record(plugins="c", last_run="3", quant="3@mine"),
        record(plugins="d", last_run="4", weights="w"),
        record(plugins="e", last_run="5", method_version=2),
        record("qat", plugins="f", last_run="6"),
    )
    assert kept(*records) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "other",
    [{"method_args": (("x", 1),)}, {"quant": "4"}, {"seed": 1}, {"keep": "none"}, {"step_multiplier": 2}],
)
def test_other_rows_of_a_method_are_of_the_code_that_was_run_last(other):
    first = record(plugins="a", last_run="1"), record(plugins="a", last_run="2", **other)
    assert kept(*first, record(plugins="b", last_run="3", **other)) == [2]
    assert kept(*first, record(plugins="b", last_run="0", **other)) == [0, 1]


def test_methods_of_flatqat_with_a_quantizer_of_ones_own_are_of_one_code():
    codes = zip(("qat", "sam", "ptq"), "aab", strict=True)
    records = [
        record(name, quant="3@mine", plugins=code, last_run=str(k)) for k, (name, code) in enumerate(codes)
    ]
    assert kept(*records) == [2]


def test_domains_of_a_family_are_of_one_code():
    records = [record(suite=f"toy@{name}", plugins=name, last_run=name) for name in "ab"]
    assert kept(*records) == [1]
    gone, _ = sections(records)
    assert problems(gone) == ["1 cell of older revisions of the code left out (--all-revisions)"]


def test_code_that_fails_makes_no_other_row_older():
    works = record(plugins="a", last_run="1"), record(plugins="a", last_run="1", quant="4")
    fails = replace(record(plugins="b", last_run="2"), status="failed", reason="a typo")
    assert kept(*works, fails) == [1, 2]


def test_what_starts_from_a_replaced_parent_is_older():
    fp = [
        record(
            "fp", quant="fp", plugins=code, last_run=at, parent=f"start-{code}", parent_label=f"start-{code}"
        )
        for code, at in (("a", "1"), ("b", "3"))
    ]
    label = fp[0].cell.label
    ptq = record("ptq", plugins="a", last_run="2", parent=fp[0].cell.training_id, parent_label=label)
    qat = record("qat", plugins="a", last_run="2", parent="start-a", parent_label="start-a")
    assert kept(*fp, ptq, qat) == [1]
    again = replace(ptq, last_run="4")  # the edit was undone, and one method run
    assert kept(*fp, again, qat) == [0, 2, 3]


def test_the_same_code_from_other_starts_shows_the_newest():
    records = (record(parent="p", last_run="1"), record(parent="q", last_run="2"))
    assert kept(*records) == [1]
    (section,) = sections(records, all_revisions=True)
    assert len(section.rows) == 2
    assert all(len(row) == 1 for row in section.rows.values())


def test_records_without_a_time_are_never_refused():
    records = (record(plugins="a"), record(plugins="b"))
    assert len(kept(*records)) == 1
    (section,) = sections(records)
    assert section.older == 1
    assert Record.from_dict(records[0].to_dict()) == records[0]
    assert "last_run" not in records[0].to_dict()
    dated = replace(records[0], last_run="2026-01-01T00:00:00.000+00:00")
    assert Record.from_dict(dated.to_dict()) == dated


def test_a_failed_rerun_of_code_that_is_back_keeps_the_finished_record(tmp_path):
    """It is the newest again, with the numbers that it has."""
    store, scores = Store(tmp_path), scores_of({"id": np.ones(4, bool)})
    first, second = (
        store.write_record(replace(record(plugins=code, last_run=at), scores=scores))
        for code, at in (("a", "1"), ("b", "2"))
    )
    failed = Record(cell=first.cell, status="failed", reason="a typo")
    (reported,) = renewed([failed], store)
    assert (reported.status, reported.reason) == ("failed", "a typo")
    stored = store.record(first.cell)
    assert stored == replace(first, last_run=reported.last_run)
    assert stored.last_run > second.last_run


def test_code_that_was_run_last_is_the_newest_also_where_a_clock_was_ahead(tmp_path):
    store, scores = Store(tmp_path), scores_of({"id": np.ones(4, bool)})
    ahead, now = (
        store.write_record(replace(record(plugins=code, last_run=at), scores=scores))
        for code, at in (("a", "2999-01-01T00:00:00.000+00:00"), ("b", "2026-01-01T00:00:00.000+00:00"))
    )
    assert newest(store.records()) == [ahead]
    (reported,) = renewed([now], store)
    assert newest(store.records()) == [reported]
    assert reported == replace(now, last_run="2999-01-01T00:00:00.001+00:00")
