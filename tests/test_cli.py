"""The command line as a user meets it: exit codes, one-line errors, nothing half-written."""

import json
import pickle
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flatqat.cli import main
from flatqat.models._base import build

TOY = Path(__file__).parent / "bench" / "toy.py"
TOY_RUN = ("bench", "run", "--plugin", TOY, "--suite", "toy")


@pytest.fixture
def flatqat(monkeypatch, capsys):
    """Run a command in this process; gives `code`, `out`, `err`."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")

    def run(*args: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["flatqat", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return SimpleNamespace(code=stop.value.code or 0, out=captured.out, err=captured.err)

    return run


def assert_one_line_error(done: SimpleNamespace, pattern: str) -> None:
    assert done.code == 2
    assert re.search(pattern, done.err), done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """Results of a toy run at 4 bits."""
    from flatqat import registry
    from flatqat.bench.plan import make_plan
    from flatqat.bench.progress import Progress
    from flatqat.bench.request import Request
    from flatqat.bench.run import run

    registry.add_plugin(TOY)
    folder = tmp_path_factory.mktemp("stored")
    request = Request(suites=("toy",), methods=("fp", "qat", "anchor"), bits=("4",), results=folder)
    run(make_plan(request), torch.device("cpu"), Progress())
    return folder


def test_run_ends_with_the_table(flatqat, tmp_path):
    done = flatqat(*TOY_RUN, "--results", tmp_path)
    assert done.code == 0
    for method in ("fp", "qat", "anchor"):
        assert re.search(rf"^ {method} +(fp|4) +\d+\.\d ±\d+\.\d", done.out, re.MULTILINE), done.out
    assert "extra gap" in done.out
    assert "\x1b" not in done.out + done.err
    assert "train tiny qat 4 seed 0" in done.err


def test_dry_run_computes_nothing(flatqat, tmp_path):
    done = flatqat(*TOY_RUN, "--results", tmp_path / "r", "--dry-run", "--seeds", "0,2")
    assert done.code == 0
    assert done.out.count("to run") == 8
    assert re.search(r"about [\d.]+ (s|min)", done.out)
    assert not (tmp_path / "r").exists()


def test_compute_matched_plans_other_cells_for_rules_of_one_pass(flatqat, tmp_path):
    planned = {}
    for options in ((), ("--compute-matched",)):
        done = flatqat(*TOY_RUN, "--results", tmp_path, "--method", "fp,qat,sam", "--dry-run", *options)
        assert done.code == 0
        labels = re.findall(r"to run +(tiny-\S+)", done.out)
        planned[options] = {label.split("-")[1]: label for label in labels}
    before, after = planned.values()
    assert {method for method in before if before[method] != after[method]} == {"qat"}


def test_dry_run_tells_what_is_missing_on_disk(flatqat, tmp_path):
    done = flatqat("bench", "run", "--suite", "cifar10-c", "--data-root", tmp_path, "--dry-run")
    assert done.code == 2
    assert re.search(r"missing +suite cifar10-c", done.out)


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (["--suite", "digit-c"], "unknown suite 'digit-c'.*did you mean 'digits-c'"),
        (["--method", "qta"], "unknown method"),
        (["--bits", "4w"], "expected 'fp', '4', 'w4', 'w4a8' or 'w4a8@lsq', got '4w'"),
        (["--seeds", "x"], "--seeds: expected"),
        (["--set", "anchor.strength"], "--set: expected"),
        (["--device", "tpu"], "--device: expected"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors.*readable file"),
        (["--plugin", "nowhere.py"], "found none"),
        (["--suite", "cifar10-c", "--data-root", "nowhere"], "cifar"),
    ],
    ids=str,
)
def test_wrong_options(flatqat, tmp_path, args, pattern):
    assert_one_line_error(flatqat("bench", "run", *args, "--results", tmp_path / "r"), pattern)
    assert not list((tmp_path / "r").rglob("*.json"))


class Payload:
    """A pickle that would write a file if it were executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".bin"])
def test_a_pickle_where_weights_belong_is_not_executed(flatqat, tmp_path, suffix):
    file, trap = tmp_path / f"weights{suffix}", tmp_path / "executed"
    file.write_bytes(pickle.dumps({"conv1.weight": Payload(trap)}))
    assert_one_line_error(
        flatqat(*TOY_RUN, "--weights", file, "--results", tmp_path / "r"), "expected tensors alone"
    )
    torch.save({"conv1.weight": Payload(trap)}, file)
    assert_one_line_error(
        flatqat(*TOY_RUN, "--weights", file, "--results", tmp_path / "r"), "expected tensors alone"
    )
    assert not trap.exists()


def test_weights_of_another_network_are_refused(flatqat, tmp_path):
    file = tmp_path / "weights.pt"
    torch.save(build("tiny", classes=7, seed=0).net.state_dict(), file)
    done = flatqat(*TOY_RUN, "--weights", file, "--results", tmp_path / "r")
    assert_one_line_error(done, r"2 of another shape \(first: linear.bias \(7,\) for \(4,\)\)")


def test_weights_start_every_method(flatqat, tmp_path):
    file = tmp_path / "weights.pt"
    torch.save(
        {
            "state_dict": {
                f"module.{k}": v for k, v in build("tiny", classes=4, seed=9).net.state_dict().items()
            }
        },
        file,
    )
    done = flatqat(*TOY_RUN, "--weights", file, "--results", tmp_path / "r", "--no-flatness")
    assert done.code == 0
    assert "pretrain" not in done.err
    (record, *_) = (json.loads(p.read_text()) for p in (tmp_path / "r" / "records" / "toy").glob("*.json"))
    assert record["protocol"]["start"] == "weights.pt"
    assert len(record["cell"]["weights"]) == 64


def test_a_damaged_record_is_named(flatqat, tmp_path):
    file = tmp_path / "records" / "toy" / "x.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert_one_line_error(flatqat("bench", "report", "--results", tmp_path), r"x\.json.*damaged.*delete it")


def test_unwritable_results(flatqat, tmp_path):
    (tmp_path / "file").write_text("")
    assert_one_line_error(flatqat(*TOY_RUN, "--results", tmp_path / "file"), "expected a folder, got a file")


def test_a_failing_cell_makes_the_exit_code_three(flatqat, tmp_path):
    done = flatqat(*TOY_RUN, "--results", tmp_path, "--set", "budget.lr=1e30", "--method", "fp,ptq")
    assert done.code == 3
    assert "failed: tiny-fp" in done.out
    assert "skipped: tiny-ptq" in done.out
    assert "Traceback" not in done.err


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
    assert text.startswith("# Who wins under shift, and does flat go with it? toy v1")
    assert "beside `qat`" in text
    assert "](page.svg)" in text
    assert b"<svg" in (tmp_path / "page.svg").read_bytes()
    assert "beside `anchor`" in flatqat(*args, "--against", "anchor").out


def test_a_study_against_what_is_not_there(flatqat, stored):
    done = flatqat("bench", "report", "--results", stored, "--format", "study", "--against", "sam")
    assert_one_line_error(done, r"expected the method 'sam' .*got fp fp, qat 4, anchor 4; .*--against")


def test_report_to_a_file(flatqat, stored, tmp_path):
    done = flatqat("bench", "report", "--results", stored, "--format", "csv", "--output", tmp_path / "t.csv")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "t.csv").read_text().startswith("section,method,bits")


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (["--format", "xml"], "unknown format 'xml'"),
        (["--by", "color"], "unknown view"),
        (["--suite", "nothing"], "expected records in .* for suite nothing, got none"),
    ],
)
def test_wrong_report_options(flatqat, stored, args, pattern):
    assert_one_line_error(flatqat("bench", "report", "--results", stored, *args), pattern)


def test_gate_from_the_command_line(flatqat, stored, tmp_path):
    file = tmp_path / "baseline.json"
    assert flatqat("bench", "baseline", "--results", stored, "--output", file).code == 0
    done = flatqat("bench", "check", "--results", stored, "--baseline", file)
    assert done.code == 0
    assert "fine" in done.out
    assert flatqat("bench", "check", "--results", tmp_path, "--baseline", file).code == 3
    assert_one_line_error(flatqat("bench", "check", "--baseline", tmp_path / "none.json"), "none.json")
    data = json.loads(file.read_text())
    for cell in data["cells"].values():  # a baseline that got everything right
        import base64
        import zlib

        cell["correct"]["noise/2"] = base64.b64encode(zlib.compress(b"\xff" * 12)).decode()
    file.write_text(json.dumps(data))
    assert flatqat("bench", "check", "--results", stored, "--baseline", file).code == 1


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
    assert json.loads(done.out) == {"cell": path.stem, **kept}


@pytest.mark.parametrize("space", ["latent", "scale"])
def test_flatness_in_other_spaces(flatqat, stored, space):
    done = flatqat("flatness", "tiny-qat", "--results", stored, "--space", space, "--no-acts", "--draws", 2)
    found = json.loads(done.out)
    assert (found["space"], found["acts"]) == (space, "off")
    assert found["lambda_max"]["value"] != 0


def test_flatness_measures_what_is_asked_for(flatqat, stored):
    args = ("flatness", "tiny-qat", "--results", stored, "--draws", 2, "--images", 16)
    done = flatqat(*args, "--measure", "flips,apgd", "--measure", "scale")
    found = json.loads(done.out)
    about = {"cell", "space", "acts", "images", "seed", "loss", "weight_norm"}
    assert set(found) == about | {"apgd", "flips", "scale"}
    assert found["images"] == 16
    assert found["flips"]["0.1"]["draws"] == 2
    assert "flatness tiny-qat" in done.err
    assert_one_line_error(
        flatqat(*args, "--measure", "hessian"),
        "unknown measure 'hessian': expected one of apgd, density, flips, lambda_max, scale, sharpness",
    )


def test_the_help_of_flatness_names_every_measure(flatqat):
    from flatqat.bench.estimators import DEFAULT, ESTIMATORS

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
    flatqat(*args, "--landscape", tmp_path / "l.csv", "--measure", "flips", "--draws", 2)
    assert (tmp_path / "l.csv").read_text().count("\n") == 10
    assert_one_line_error(flatqat(*args, "--landscape", tmp_path / "l.pdf"), "--landscape: expected a file")
    assert_one_line_error(
        flatqat(*args, "--landscape", "l.png", "--grid", 4), "--grid: expected an odd number"
    )
    assert_one_line_error(
        flatqat(*args, "--landscape", "l.png", "--space", "scale"),
        "--landscape: expected the space 'quantized' or 'latent', got 'scale'",
    )


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
    assert_one_line_error(
        flatqat("flatness", "tiny-qat", "--results", broken),
        "expected a finite loss.*there is nothing to measure",
    )


def test_wrong_cells_and_spaces(flatqat, stored):
    assert_one_line_error(
        flatqat("audit", "nothing", "--results", stored), "expected the beginning of one stored id"
    )
    assert_one_line_error(
        flatqat("flatness", "tiny-qat", "--results", stored, "--space", "x"), "unknown space"
    )
    assert_one_line_error(
        flatqat("flatness", "tiny-fp", "--results", stored, "--space", "scale"),
        "expected a model with step sizes",
    )


def test_lists_and_shows(flatqat):
    assert "cifar10-c-live" in flatqat("suites", "list").out
    shown = flatqat("suites", "show", "cifar10-c").out
    assert "budget" in shown
    assert "protocol" in shown
    assert flatqat("models", "list", "cifar:*").out.split() == [
        "cifar:resnet20", "cifar:resnet32", "cifar:resnet44", "cifar:resnet56",
    ]  # fmt: skip
    assert_one_line_error(flatqat("models", "list", "nothing:*"), "no model matches")
    assert_one_line_error(flatqat("suites", "show", "nothing"), "unknown suite")


def test_verify(flatqat, tmp_path):
    assert flatqat("suites", "verify", "digits-c").code == 0
    for name in ("cifar10-c", "cifar100-c"):
        done = flatqat("suites", "verify", name, "--data-root", tmp_path)
        assert done.code == 2
        assert "WRONG" in done.out


def test_doctor(flatqat):
    done = flatqat("doctor")
    assert done.code == 0
    assert re.search(r"torch +2\.", done.out)
    assert re.search(r"digits-c +data ok", done.out)
    assert re.search(r"cifar10-c +no data", done.out)
    labels = [re.match(r"(data root|\S+)  +", line) for line in done.out.splitlines()[1:]]
    assert len({label and label.end() for label in labels}) == 1


def test_plugin_check(flatqat, tmp_path):
    good, bad = tmp_path / "good_rule.py", tmp_path / "bad_rule.py"
    good.write_text(
        "from flatqat.methods.qat import QAT\n\n\nclass Rule(QAT):\n    pass\n\n\nMETHOD = Rule\n"
    )
    bad.write_text(
        "import torch\nfrom flatqat.methods.qat import QAT\n\n\nclass Rule(QAT):\n"
        "    def step(self, x, y):\n        return super().step(x + torch.rand(()), y)\n\n\nMETHOD = Rule\n"
    )
    done = flatqat("test", good)
    assert (done.code, done.out.count("passed")) == (0, 10)
    done = flatqat("test", bad)
    assert done.code == 1
    assert re.search("FAILED method bad-rule: No random number is drawn", done.out)
    assert_one_line_error(flatqat("test", tmp_path / "absent.py"), "found none")


def test_a_method_from_a_plugin_runs(flatqat, tmp_path):
    file = tmp_path / "half_rate.py"
    file.write_text(
        "from flatqat.methods.qat import QAT\n\n\nclass Rule(QAT):\n    @property\n"
        "    def peak_learning_rate(self):\n        return 0.01\n\n\nMETHOD = Rule\n"
    )
    done = flatqat(
        *TOY_RUN, "--plugin", file, "--method", "qat,half-rate", "--results", tmp_path / "r", "--no-flatness"
    )
    assert done.code == 0
    assert re.search(r"^ half-rate +4 ", done.out, re.MULTILINE)
