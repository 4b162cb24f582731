"""The command line as a user meets it: exit codes, one-line errors, nothing half-written."""

import json
import os
import pickle
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat import __version__, registry
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.commands import catalog
from flatqat.commands.execute import next_command
from flatqat.console.terminal import terminal
from flatqat.finding import Finding
from flatqat.models.base import build
from tests.helpers import RESULTS, TOY, imagenet_files, street_records
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.plugins import registered

FIRST_LOOK = RESULTS / "first-look"
TOY_RUN = ("bench", "run", "--plugin", TOY, "--suite", "toy", "--seeds", "1")


def test_run_ends_with_the_table(flatqat, tmp_path):
    done = flatqat(*TOY_RUN, "--results", tmp_path)
    assert done.code == 0
    for method in ("fp", "qat", "anchor"):
        assert re.search(rf"^ {method} +(fp|4) +\d+\.\d ±\d+\.\d", done.out, re.MULTILINE), done.out
    assert "extra gap" in done.out
    assert "\x1b" not in done.out + done.err
    assert "train tiny qat 4 seed 0" in done.err
    assert f"next: flatqat bench report --results {tmp_path} --by family" in done.err


def test_the_next_command_works_beside_a_suite_of_another_task(flatqat, tmp_path):
    store = Store(tmp_path / "both kinds")
    street_records.put(store, street_records.FP, street_records.matrices())
    request = Request(suites=("streets",), methods=("fp",), bits=("fp",), seeds=(0,), results=store.root)
    command = next_command(request, store.records())
    first_look = Store(FIRST_LOOK)
    store.write_record((digits := first_look.records()[0]), first_look.outcomes(digits.cell))
    assert command.endswith(" --suite streets --by class")
    done = flatqat(*shlex.split(command)[1:])
    assert (done.code, done.err) == (0, "")
    assert "digits-c" not in done.out


def test_dry_run_computes_nothing(flatqat, tmp_path):
    done = flatqat(*TOY_RUN, "--results", tmp_path / "r", "--dry-run", "--seeds", "0,2")
    assert done.code == 0
    assert done.out.count("to run") == 8
    assert re.search(r"about [\d.]+ (s|min)", done.out)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_a_dry_run_exits_as_the_run_where_a_cell_is_skipped(flatqat, tmp_path, how):
    """`anchor` has nothing to do where activations alone are rounded; the row beside it is there."""
    bits = ("--method", "fp,anchor", "--bits", "w32a4", "--no-flatness")
    done = flatqat(*TOY_RUN, "--results", tmp_path / "r", "--seeds", "0,", *bits, *how)
    assert "anchor only changes how weights are rounded" in " ".join((done.out + done.err).split())
    assert done.code == 3


def test_dry_run_tells_the_cells_of_a_sweep_apart(flatqat, tmp_path):
    sweep = ("--method", "anchor", "--set", "anchor.strength=0.5,2")
    done = flatqat(*TOY_RUN, "--results", tmp_path / "r", "--dry-run", *sweep)
    assert re.findall(r"tiny-anchor-4-s0-\w+ +(.*)", done.out) == ["(strength=0.5)", "(strength=2.0)"]


def test_compute_matched_plans_other_cells_for_rules_of_one_pass(flatqat, tmp_path):
    planned = {}
    for options in ((), ("--compute-matched",)):
        done = flatqat(*TOY_RUN, "--results", tmp_path, "--method", "fp,qat,sam", "--dry-run", *options)
        assert done.code == 0
        labels = re.findall(r"to run +(tiny-\S+)", done.out)
        planned[options] = {label.split("-")[1]: label for label in labels}
    before, after = planned.values()
    assert {method for method in before if before[method] != after[method]} == {"qat"}


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_a_results_folder_of_other_images_stops_a_dry_run_as_it_does_a_run(flatqat, tmp_path, how):
    assert flatqat(*TOY_RUN, "--results", tmp_path / "r", "--method", "fp", "--no-flatness").code == 0
    (data,) = (tmp_path / "r" / "data").glob("*.json")
    data.write_text(re.sub(r'"fingerprint": *"\w+"', '"fingerprint": "00000000"', data.read_text()))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = flatqat(*TOY_RUN, "--results", tmp_path / "r", "--method", "qat", "--no-flatness", *how)
    assert done.code == 2
    assert re.search(r"suite toy: expected the images that .* was made from \(fingerprint 0{8}\)", done.err)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path in before} == before
    assert not list(tmp_path.rglob("records/*/*qat*"))


def test_dry_run_says_that_a_results_folder_cannot_be_made(flatqat, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    done = flatqat(*TOY_RUN, "--results", tmp_path / "new" / "r", "--method", "fp", "--dry-run")
    said = "results folder .*: expected a folder that can be written, got: Permission denied; choose another"
    assert done.code == 2
    assert re.search(said, done.err)
    assert not list(tmp_path.iterdir())


def test_dry_run_says_which_data_is_incomplete(flatqat, tmp_path):
    registry.add_plugin(TOY)
    toy = registry.load(registry.SUITES, "toy")
    finding = Finding(ok=False, partial=True, what="9 of 10 images", fix="complete the copy")
    with registered(registry.SUITES, "toy", replace(toy, verify=lambda root: [finding])):
        done = flatqat("bench", "run", "--suite", "toy", "--results", tmp_path, "--dry-run", "--method", "fp")
    assert done.code == 0
    assert "toy: 9 of 10 images" in done.err


FAILING = """
from flatqat.methods.qat import QAT


class Failing(QAT):
    def gradient(self, x, y):
        raise RuntimeError("no gradient today")


METHOD = Failing
"""


def test_dry_run_says_which_cells_would_fail_and_times_the_others(flatqat, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    run = (*TOY_RUN, "--plugin", tmp_path / "failing.py", "--method", "fp,failing", "--no-flatness")
    done = flatqat(*run, "--results", tmp_path / "r", "--seeds", "2", "--dry-run")
    assert done.code == 3
    said = r"^would fail tiny-failing-4-s\d-\w+  \(crashed: RuntimeError\('no gradient today'\)\)$"
    assert len(re.findall(said, done.out, re.MULTILINE)) == 2
    assert done.err.count("in gradient") == 1  # once for all seeds
    assert re.search(r"to run +tiny-fp-.*\nabout [\d.]+ s", done.out, re.DOTALL)
    assert not (tmp_path / "r").exists()


def test_dry_run_says_that_what_crashes_in_the_checks_would_fail(flatqat, tmp_path, monkeypatch):
    def crashes(*args):
        raise RuntimeError("no check today")

    monkeypatch.setattr("flatqat.bench.engine.preflight._check_model", crashes)
    done = flatqat(*TOY_RUN, "--results", tmp_path / "r", "--method", "fp", "--dry-run")
    assert done.code == 3
    assert "to run" not in done.out
    assert "about" not in done.out
    assert re.search(r"would fail tiny-fp-s0-\w+  \(crashed: RuntimeError\('no check today'\)\)", done.out)


def with_a_last_shift(folder, build, image_set="last"):
    """The file of the suite `mine`: that of `toy` with one shift more, built by an expression of `root`."""
    more = f'Shift(name="last", family="last", image_set="{image_set}", build=lambda root: {build})'
    lines = [TOY.read_text().replace('name="toy"', 'name="mine"'), "from dataclasses import replace"]
    (folder / "mine.py").write_text(
        "\n".join([*lines, f"SUITE = replace(SUITE, shifts=(*SUITE.shifts, {more}))"])
    )
    return folder / "mine.py"


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize(
    ("build", "image_set", "said"),
    [
        ("1 / 0", "last", r"suite mine: expected sets of images, got: ZeroDivisionError: .*mine\.py:\d+ in "),
        (
            "_images(1, 2, 40)",
            "id",
            "the images of id, since both have image_set='id', got 1 images for 96; complete",
        ),
    ],
)
def test_a_shift_that_no_cell_could_be_scored_on_is_refused(flatqat, tmp_path, build, image_set, said, how):
    file = with_a_last_shift(tmp_path, build, image_set)
    run = ("bench", "run", "--plugin", file, "--suite", "mine", "--results", tmp_path / "r", "--method", "fp")
    assert_one_line_error(flatqat(*run, *how), said)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("bench", "report", "-o", "x.md"),
        ("bench", "run", "--dry-run"),
        ("methods", "show", "qat", "--plugin", "x.py"),
    ],
)
def test_a_working_directory_that_was_removed_is_said(flatqat, tmp_path, monkeypatch, command):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    more = ("--results", FIRST_LOOK) if "report" in command else ()
    said = "expected a working directory, got one that was removed; cd to another"
    assert_one_line_error(flatqat(*command, *more), said)


@pytest.mark.parametrize("when", ["flatqat.cli", "flatqat.commands.describe_plugins"])
def test_an_interrupt_is_one_line_whatever_is_imported(when):
    """While the command line itself is, and later within a command."""
    code = (
        "import sys\nfrom flatqat.__main__ import main\n\n\n"
        "class Interrupts:\n    def find_spec(self, name, *_):\n"
        f"        if name == {when!r}:\n            raise KeyboardInterrupt\n\n\n"
        "sys.meta_path.insert(0, Interrupts())\nsys.argv = ['flatqat', 'methods', 'show', 'qat']\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_shift_may_have_one_image(flatqat, tmp_path):
    file = with_a_last_shift(tmp_path, "_images(1, 2, 40)")
    run = ("bench", "run", "--plugin", file, "--suite", "mine", "--seeds", "1", "--method", "fp")
    assert flatqat(*run, "--no-flatness", "--results", tmp_path / "r").code == 0


def test_dry_run_tells_what_is_missing_on_disk(flatqat, tmp_path):
    done = flatqat("bench", "run", "--suite", "cifar10-c", "--data-root", tmp_path, "--dry-run")
    assert done.code == 2
    assert re.search(r"missing +suite cifar10-c", done.out)


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (["--suite", "digit-c"], "unknown suite 'digit-c'.*did you mean 'digits-c'"),
        (["--method", "qta"], "unknown method"),
        (["--model", "resnet18"], r"flatqat models list '\*:\*resnet18\*'"),
        (
            ["--bits", "4w"],
            r"expected fp or such as 4, w4a8, w4a32 \(32 is floating point\) or 4@lsq, got '4w'",
        ),
        (["--seeds", "x"], "--seeds: expected"),
        (["--set", "anchor.strength"], "--set: expected"),
        (["--device", "tpu"], "--device: expected"),
        (["--jobs", "0"], "--jobs: expected auto or a number from 1 to 1024, got '0'"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors.*readable file"),
        (["--plugin", "nowhere.py"], "got none"),
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
    assert record["protocol"]["parent"] == "weights.pt"
    assert len(record["cell"]["weights"]) == 64


def test_a_damaged_record_is_named(flatqat, tmp_path):
    file = tmp_path / "records" / "toy" / "x-s0-0123456789ab.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert_one_line_error(
        flatqat("bench", "report", "--results", tmp_path), r"x-s0-0123456789ab\.json.*damaged.*delete it"
    )


def test_unwritable_results(flatqat, tmp_path):
    (tmp_path / "file").write_text("")
    assert_one_line_error(flatqat(*TOY_RUN, "--results", tmp_path / "file"), "expected a folder, got a file")
    below = flatqat(*TOY_RUN, "--results", tmp_path / "file" / "below")
    assert_one_line_error(
        below, r"results folder .*/below: expected a folder, got none \(Not a directory\); choose"
    )
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    linked = flatqat(*TOY_RUN, "--results", tmp_path / "link")
    assert_one_line_error(linked, "results folder .*/link: expected a folder, got a link to nothing; choose")


def test_a_failing_cell_makes_the_exit_code_three(flatqat, tmp_path):
    done = flatqat(*TOY_RUN, "--results", tmp_path, "--set", "recipe.lr=1e30", "--method", "fp,ptq")
    assert done.code == 3
    assert "failed: tiny-fp" in done.out
    assert "skipped: tiny-ptq" in done.out
    assert "Traceback" not in done.err


def test_lists_and_shows(flatqat):
    assert "cifar10-c-live" in flatqat("suites", "list").out
    shown = flatqat("suites", "show", "cifar10-c").out
    assert "recipe" in shown
    assert "protocol" in shown
    assert flatqat("models", "list", "cifar:*").out.split() == [
        "cifar:resnet20", "cifar:resnet32", "cifar:resnet44", "cifar:resnet56",
    ]  # fmt: skip
    assert_one_line_error(flatqat("models", "list", "nothing:*"), "no model matches")
    assert_one_line_error(flatqat("suites", "show", "nothing"), "unknown suite")


def test_a_member_of_a_family_is_shown_and_verified(flatqat, tmp_path):
    shown = flatqat("suites", "show", "pacs@sketch")
    assert shown.code == 0
    assert "pacs@TARGET" in shown.out
    assert flatqat("suites", "verify", "pacs@sketch", "--data-root", tmp_path).code == 2
    assert_one_line_error(flatqat("suites", "show", "pacs@skech"), "sketch")


def test_shifts_that_stay_aside_are_named_once(flatqat):
    aside = re.search(r"not in the mean: (.*)", flatqat("suites", "show", "imagenet-c").out)[1]
    assert "speckle_noise (5)" in aside
    assert "/" not in aside


def test_version_and_short_help(flatqat):
    assert flatqat("--version").out == f"flatqat {__version__}\n"
    assert flatqat("bench", "run", "-h").out == flatqat("bench", "run", "--help").out != ""


def test_a_locale_without_the_signs_prints_what_it_can():
    command = [sys.executable, "-m", "flatqat", "bench", "report", "--results", FIRST_LOOK]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=ascii_only, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\|\d\d\.\d \?\d\.\d ", done.stdout)


def test_incomplete_data_is_a_warning_and_wrong_data_an_error(flatqat, tmp_path):
    """The same rule as that of a run."""
    imagenet_files.val(tmp_path / "part")
    done = flatqat("suites", "verify", "imagenet-c-live", "--data-root", tmp_path / "part")
    assert done.code == 0
    assert "part  ImageNet val: 12 of 50,000 images" in done.out
    folder = imagenet_files.val(tmp_path / "wrong") / "imagenet" / "val" / "n01751748"
    (folder / imagenet_files.name(1)).write_bytes(b"")
    done = flatqat("suites", "verify", "imagenet-c-live", "--data-root", tmp_path / "wrong")
    assert done.code == 2
    assert "WRONG" in done.out


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
    assert re.search(r"kernels +(compiled|PyTorch)", done.out)
    assert re.search(r"digits-c +data ok", done.out)
    assert re.search(r"cifar10-c +no data", done.out)
    assert len({re.match(r"(data root|\S+)  +", line).end() for line in done.out.splitlines()[1:]}) == 1


def test_plugin_check(flatqat, tmp_path):
    good, bad = tmp_path / "good_rule.py", tmp_path / "bad_rule.py"
    good.write_text(
        "from flatqat.methods.qat import QAT\n\n\nclass Rule(QAT):\n    pass\n\n\nMETHOD = Rule\n"
    )
    bad.write_text(
        "import torch\nfrom flatqat.methods.qat import QAT\n\n\nclass Rule(QAT):\n"
        "    def step(self, x, y):\n        return super().step(x + torch.rand(()), y)\n\n\nMETHOD = Rule\n"
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        done = flatqat("test", good)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert (done.code, done.out.count("passed")) == (0, 11)
    done = flatqat("test", bad)
    assert done.code == 1
    assert re.search(r"FAILED method bad-rule: Random numbers come from .*methods\.py:\d+ in ", done.out)
    assert_one_line_error(flatqat("test", tmp_path / "absent.py"), "got none")


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


def test_memory_that_runs_out_elsewhere_is_one_line(flatqat, monkeypatch):
    def fail(*args):
        raise torch.OutOfMemoryError("CUDA out of memory.\nOf 8 GiB")

    monkeypatch.setattr("flatqat.commands.describe.diagnosis", fail)
    done = flatqat("doctor")
    hint = "end other programs, or choose a smaller model or another --device"
    assert (done.code, done.err) == (2, f"error: out of memory: CUDA out of memory.; {hint}\n")


def test_lists_hang_on_a_terminal_and_have_a_line_for_each_name_elsewhere(flatqat, monkeypatch):
    piped = flatqat("suites", "list").out
    monkeypatch.setattr(catalog, "terminal", lambda: terminal(force_terminal=True, width=80))
    shown = flatqat("suites", "list").out
    assert len(piped.splitlines()) == len(registry.names(registry.SUITES))
    assert max(map(len, shown.splitlines())) <= 80 < max(map(len, piped.splitlines()))
    assert shown.split() == piped.split()
    names = [line.split()[0] for line in shown.splitlines() if not line.startswith(" ")]
    assert names == [line.split()[0] for line in piped.splitlines()]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["bench", "run", "--limit", "1"], r"'?--limit'?: .*2.*; see: flatqat bench run --help"),
        (["bench", "run", "--threads", "x"], r"'?--threads'?: .*'x'; see: flatqat bench run --help"),
        (["bench", "run", "--suite"], "'--suite' requires an argument; see: flatqat bench run --help"),
        (["export", "verify", "--results"], "an argument; see: flatqat export verify --help"),
        (["export", "--output"], "an argument; see: flatqat export --help"),
        (["bench", "run", "--nonsense"], "--nonsense.*; see: flatqat bench run --help"),
        (["bench", "run", "more"], r"unexpected extra argument.*more.*; see: flatqat bench run --help"),
        (["results", "show"], "Missing argument 'CELL'; see: flatqat results show --help"),
        (["bench", "run", "--device"], "--device.*requires an argument; see: flatqat"),
    ],
    ids=str,
)
def test_words_that_typer_refuses_are_one_line_too(flatqat, args, said):
    assert_one_line_error(flatqat(*args), said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "cost", "tiny"], "No such command: bench cost; did you mean flatqat cost?"),
        (["report"], "No such command: report; did you mean flatqat bench report?"),
        (["bench", "export"], "No such command: bench export; did you mean flatqat export?"),
        (["canary"], "No such command: canary; did you mean flatqat bench canary?"),
        (["results", "reprot"], "No such command: results reprot; did you mean flatqat bench report?"),
        (["merge", "a"], "No such command: merge; did you mean flatqat results merge?"),
    ],
)
def test_a_command_of_another_group_is_named(flatqat, words, said):
    assert_one_line_error(flatqat(*words), f"^error: {re.escape(said)}$")


@pytest.mark.parametrize("words", [["bench", "rum"], ["nothing"], ["write"], ["bench", "--cost"]])
def test_other_words_are_answered_as_before(flatqat, words):
    done = flatqat(*words)
    assert done.code == 2
    assert re.search(r"No such (command|option)", done.err)
    assert "flatqat export write" not in done.err
