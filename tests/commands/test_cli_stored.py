"""Commands on stored results: reports, the gate, a second look at cells."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.spec import Record
from tests.helpers import TOY
from tests.helpers.command_line import assert_one_line_error, terminal_of
from tests.helpers.gate_records import CELL
from tests.helpers.running import run_plan


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """Results of a toy run at 4 bits."""
    registry.add_plugin(TOY)
    folder = tmp_path_factory.mktemp("stored")
    request = Request(
        suites=("toy",), methods=("fp", "qat", "anchor"), bits=("4",), seeds=(0,), results=folder
    )
    run_plan(make_plan(request))
    return folder


def test_a_page_is_printed_as_it_is_written(flatqat, stored, tmp_path):
    page, args = tmp_path / "report.html", ("bench", "report", "--results", stored, "--format", "html")
    assert flatqat(*args, "--output", page).code == 0
    assert flatqat(*args).out == page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("page.html", ("report", "--format", "html")),
        ("table.md", ("report",)),
        ("study.md", ("report", "--format", "study")),
        ("tax.png", ("report", "--plot", "tax")),
        ("diff.md", ("diff", "qat", "anchor")),
    ],
)
def test_a_file_that_was_written_is_named_on_stderr(flatqat, stored, tmp_path, name, options):
    done = flatqat("bench", *options, "--results", stored, "--output", tmp_path / name)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == f"written to {tmp_path / name}"


def test_a_device_is_not(flatqat, stored):
    assert flatqat("bench", "report", "--results", stored, "--output", "/dev/null").err == ""


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--by", "family"), r"--format html: expected no --by, got family; leave --by out: "),
        (("--plot", "pareto", "--output", "p.png"), r"--plot pareto: expected neither --by, --format nor"),
    ],
)
def test_a_page_has_every_view_and_its_own_plots(flatqat, stored, tmp_path, monkeypatch, option, told):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(flatqat("bench", "report", "--results", stored, "--format", "html", *option), told)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
@pytest.mark.parametrize("by", ["method", "shift", "family", "severity"])
def test_reports_are_the_same_to_the_byte(flatqat, stored, form, by):
    args = ("bench", "report", "--results", stored, "--format", form, "--by", by)
    first, second = flatqat(*args), flatqat(*args)
    assert first.code == 0
    assert first.out == second.out
    assert "nan" not in first.out.lower().replace("nan_", "")
    if form == "json":
        (section,) = json.loads(first.out)
        assert len(section["rows"]) == {"method": 3, "shift": 4, "family": 3, "severity": 4}[by]


def test_report_numbers_are_those_stored(flatqat, stored):
    (section,) = json.loads(flatqat("bench", "report", "--results", stored, "--format", "json").out)
    for row in section["rows"]:
        (path,) = (stored / "records" / "toy").glob(f"tiny-{row['method']}-*.json")
        scores = json.loads(path.read_text())["scores"]
        ood = np.mean([scores[s]["top1"]["value"] for s in ("noise/1", "noise/2")])
        assert row["id_top1"] == pytest.approx(scores["id"]["top1"]["value"], abs=1e-8)
        assert row["ood_top1"] == pytest.approx(ood, abs=1e-8)
        assert row["gap"] == pytest.approx(scores["id"]["top1"]["value"] - ood, abs=1e-8)
    by_method = {row["method"]: row for row in section["rows"]}
    for method in ("qat", "anchor"):
        assert by_method[method]["extra_gap"] == pytest.approx(
            by_method[method]["gap"] - by_method["fp"]["gap"]
        )
    assert by_method["fp"]["extra_gap"] is None


def test_a_study_to_a_file_has_its_picture_beside_it(flatqat, stored, tmp_path):
    args = ("bench", "report", "--results", stored, "--format", "study")
    done = flatqat(*args, "--output", tmp_path / "page.md")
    assert done.code == 0
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text.startswith(
        "# Which methods win under shift, and does flatness correlate with OOD accuracy? toy v1"
    )
    assert "nothing is called better or worse than `qat`" in text
    assert "](page.svg)" in text
    assert b"<svg" in (tmp_path / "page.svg").read_bytes()
    assert "nothing is called better or worse than `anchor`" in flatqat(*args, "--against", "anchor").out


def test_a_study_against_what_is_not_there(flatqat, stored):
    done = flatqat("bench", "report", "--results", stored, "--format", "study", "--against", "sam")
    assert_one_line_error(done, r"quantized method 'sam' .*got the rows fp, qat 4, anchor 4; .*--against")


def test_report_to_a_file(flatqat, stored, tmp_path):
    done = flatqat("bench", "report", "--results", stored, "--format", "csv", "--output", tmp_path / "t.csv")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "t.csv").read_text().startswith("section,method,bits")


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (["--format", "xml"], "unknown format 'xml'"),
        (["--by", "color"], "unknown value of --by"),
        (["--suite", "nothing"], "expected records in .* for suite nothing, got those of .*toy"),
    ],
)
def test_wrong_report_options(flatqat, stored, args, pattern):
    assert_one_line_error(flatqat("bench", "report", "--results", stored, *args), pattern)


@pytest.mark.parametrize(("width", "gone"), [(40, "codes, levels"), (60, "")])
def test_an_audit_on_a_narrow_terminal_keeps_the_layers(flatqat, stored, monkeypatch, width, gone):
    monkeypatch.setattr("flatqat.commands.cell.terminal", terminal_of(width))
    text = flatqat("audit", "tiny-qat", "--results", stored).out
    assert max(map(len, text.splitlines())) <= width
    assert re.search(r"^ stage1\.0 +weight +4 .* \d+\.\d\d% ", text, re.MULTILINE), text
    assert (f"left out: {gone}; a wider terminal or a pipe has all" in " ".join(text.split())) == bool(gone)


@pytest.mark.parametrize("form", ["table", "csv", "json", "md"])
def test_failed_cells_alone_have_no_columns_to_choose(flatqat, tmp_path, form):
    Store(tmp_path).write_record(Record(cell=CELL, status="failed", reason="the loss is nan"))
    args = ("bench", "report", "--results", tmp_path, "--format", form)
    assert flatqat(*args, "--columns", "ID").code == 0
    assert flatqat(*args, "--columns", "ID").out == flatqat(*args).out
    study = flatqat("bench", "report", "--results", tmp_path, "--format", "study")
    assert_one_line_error(study, "got no row with a finished cell; run them first")


def test_audit_of_a_stored_cell(flatqat, stored):
    done = flatqat("audit", "tiny-qat", "--results", stored)
    assert done.code == 0
    assert re.search(r"stage1\.0 +weight +4 +\d+ +16 ", done.out), done.out
    assert re.search(r"conv1 +weight +8 ", done.out)
    assert "0 in floating point" in done.out
    assert "10 in floating point" in flatqat("audit", "tiny-fp", "--results", stored).out


def test_flatness_of_a_stored_cell_repeats_the_stored_numbers(flatqat, stored):
    done = flatqat("flatness", "tiny-qat", "--results", stored, "--draws", 3)
    assert done.code == 0
    (path,) = (stored / "records" / "toy").glob("tiny-qat-*.json")
    kept = json.loads(path.read_text())["flatness"]["quantized"]
    kept["lambda_max"]["converged"] = True  # which a record leaves to the residual
    assert json.loads(done.out) == {"cell": path.stem, **kept}


@pytest.mark.parametrize("space", ["latent", "step_size"])
def test_flatness_in_other_spaces(flatqat, stored, space):
    done = flatqat("flatness", "tiny-qat", "--results", stored, "--space", space, "--no-acts", "--draws", 2)
    found = json.loads(done.out)
    assert (found["space"], found["acts"]) == (space, "off")
    assert found["lambda_max"]["value"] != 0


def test_flatness_measures_what_is_asked_for(flatqat, stored):
    args = ("flatness", "tiny-qat", "--results", stored, "--draws", 2, "--images", 16)
    done = flatqat(*args, "--measure", "code_flips,apgd", "--measure", "step_size_noise")
    found = json.loads(done.out)
    about = {"cell", "space", "acts", "images", "seed", "loss", "weight_norm"}
    assert set(found) == about | {"apgd", "code_flips", "step_size_noise"}
    assert found["images"] == 16
    assert found["code_flips"]["0.1"]["draws"] == 2
    assert "flatness tiny-qat" in done.err
    assert "instead of" not in done.err
    assert_one_line_error(
        flatqat(*args, "--measure", "hessian"),
        "unknown value of --measure 'hessian': expected one of apgd, code_flips, density, lambda_max, "
        "sharpness, step_size_noise",
    )


def test_the_help_of_flatness_names_every_measure(flatqat):
    from flatqat.bench.flatness.estimators import DEFAULT, ESTIMATORS

    text = " ".join(flatqat("flatness", "--help").out.split())
    assert f"Any of {', '.join(ESTIMATORS)}." in text
    assert f"[default: {','.join(DEFAULT)}" in text


def test_a_landscape_of_a_stored_cell(flatqat, stored, tmp_path):
    args = ("flatness", "tiny-qat", "--results", stored, "--grid", 3, "--span", 0.5)
    found = json.loads(flatqat(*args, "--landscape", tmp_path / "l.json").out)
    assert "lambda_max" not in found
    data = json.loads((tmp_path / "l.json").read_text())
    assert data["coordinates"] == [-0.5, 0.0, 0.5]
    assert data["losses"][1][1] == found["loss"]
    assert found["landscape"]["lowest"]["loss"] == min(map(min, data["losses"]))
    assert found["landscape"]["highest"] == max(map(max, data["losses"]))
    flatqat(*args, "--landscape", tmp_path / "l.csv", "--measure", "code_flips", "--draws", 2)
    assert (tmp_path / "l.csv").read_text().count("\n") == 10
    assert_one_line_error(flatqat(*args, "--landscape", tmp_path / "l.gif"), "--landscape: expected a file")
    assert_one_line_error(
        flatqat(*args, "--landscape", "l.png", "--grid", 4), "--grid: expected an odd number"
    )
    assert_one_line_error(
        flatqat(*args, "--landscape", "l.png", "--space", "step_size"),
        "--landscape: expected the space 'quantized' or 'latent', got 'step_size'",
    )


def test_what_cannot_be_written_is_refused_before_anything_is_computed(
    flatqat, stored, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setattr("flatqat.bench.cell.restore.restore", lambda *args, **more: pytest.fail("computed"))
    cell, said = ("tiny-qat", "--results", stored), "expected a f.* that can be written, .*: Not a directory"
    for command in (
        ("flatness", *cell, "--landscape", tmp_path / "file" / "x.json"),
        ("sensitivity", *cell, "--plot", tmp_path / "file" / "x.png"),
        ("bench", "gallery", *cell, "--output", tmp_path / "file" / "x"),
        ("bench", "run", "--results", tmp_path / "r", "--write-baseline", tmp_path / "file" / "x.json"),
        ("bench", "report", "--results", stored, "--output", tmp_path / "file" / "x.md"),
    ):
        assert_one_line_error(flatqat(*command), said)


def test_sensitivity_refuses_a_results_folder_that_cannot_be_written_at_once(flatqat, stored, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path) == stored))
    said = "results folder .*sensitivity: expected a folder that can be written, got: Permission denied"
    assert_one_line_error(flatqat("sensitivity", "tiny-qat", "--results", stored), said)


def test_flatness_of_weights_that_are_not_finite(flatqat, stored, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(stored, broken)
    (record,) = (broken / "records" / "toy").glob("tiny-qat-*.json")
    file = broken / "weights" / f"{record.stem.rpartition('-')[2]}.safetensors"
    weights = load_file(file)
    weights["linear.bias"] = weights["linear.bias"] + 3e38
    save_file(weights, file)
    said = "expected weights with the SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}; run the cell again"
    assert_one_line_error(flatqat("flatness", "tiny-qat", "--results", broken), said)
    data = json.loads(record.read_text())
    del data["train"]["weights"]  # as in records of older versions
    record.write_text(json.dumps(data))
    assert_one_line_error(
        flatqat("flatness", "tiny-qat", "--results", broken),
        "expected a finite loss.*there is nothing to measure",
    )


def test_wrong_cells_and_spaces(flatqat, stored):
    assert_one_line_error(
        flatqat("audit", "nothing", "--results", stored), "expected the beginning of one stored id"
    )
    assert_one_line_error(
        flatqat("flatness", "tiny-qat", "--results", stored, "--space", "x"), "unknown value of --space"
    )
    assert_one_line_error(
        flatqat("flatness", "tiny-fp", "--results", stored, "--space", "step_size"),
        "expected a quantizer with learned step sizes",
    )


@pytest.mark.parametrize(
    ("asked", "used", "said"),
    [
        (500, 256, "256 images instead of 500: all there are in one part"),
        (300, 256, "256 images instead of 300: all there are in one part"),
    ],
)
def test_flatness_says_where_it_measures_on_fewer_images(flatqat, stored, asked, used, said):
    args = ("flatness", "tiny-qat", "--results", stored, "--draws", 2, "--images", asked)
    done = flatqat(*args, "--measure", "step_size_noise")
    assert json.loads(done.out)["images"] == used
    assert said in done.err


@pytest.mark.parametrize("form", ["table", "md", "csv"])
def test_labels_may_be_named_among_columns(flatqat, stored, form):
    args = ("bench", "report", "--results", stored, "--format", form, "--columns")
    assert flatqat(*args, "method,bits,OOD").out == flatqat(*args, "OOD").out != ""


def test_failed_cells_are_a_list_in_markdown(flatqat, stored, tmp_path):
    shutil.copytree(stored, tmp_path / "r")
    for seed in (7, 8):
        failed = Record(cell=replace(CELL, suite="toy", seed=seed), status="failed", reason="the loss is nan")
        Store(tmp_path / "r").write_record(failed)
    text = flatqat("bench", "report", "--results", tmp_path / "r", "--format", "md").out
    listed = re.findall(r"^- .*loss is nan.*$", text, re.MULTILINE)
    assert len(listed) == 2
    assert all(not line.startswith("|") for line in text.split(listed[-1])[1].splitlines()[:2])
