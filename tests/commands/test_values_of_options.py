"""Every option of every command, given values that it cannot have: exit code 2 and what was expected."""

import os
import re
import socket
from pathlib import Path

import pytest
from typer.main import get_command

from flatqat.bench.records import store
from flatqat.bench.records.writable import OWN_FOLDERS
from flatqat.cli import app
from tests.helpers import RESULTS, TOY
from tests.helpers.command_line import assert_one_line_error, leaves

COMMANDS = leaves(get_command(app))
STORED = ("tiny-fp", "--results", RESULTS / "first-look")
ENOUGH = {  # what each command needs to get as far as the value that is wrong
    ("bench", "run"): ("--plugin", TOY, "--suite", "toy", "--method", "qat", "--dry-run"),
    ("bench", "report"): ("--results", RESULTS / "first-look"),
    ("bench", "baseline"): ("--results", RESULTS / "first-look", "--output", "b.json"),
    ("bench", "check"): ("--results", RESULTS / "first-look", "--baseline", "absent.json"),
    ("bench", "diff"): ("qat", "anchor", "--results", RESULTS / "first-look"),
    ("bench", "canary"): ("--model", "torchvision:alexnet.IMAGENET1K_V1", "--data-root", ".", "--pretrained"),
    ("bench", "gallery"): (*STORED, "--output", "page"),
    ("results", "migrate"): ("absent",),
    ("results", "check"): ("absent",),
    ("results", "compact"): ("absent", "--into", "into"),
    ("export", "verify"): ("tiny-qat-4-s0", "absent.onnx", "--results", RESULTS / "first-look"),
    ("suites", "show"): ("digits-c",),
    ("suites", "verify"): ("cifar10-c",),
    ("suites", "generate"): ("imagenet-c", "--from", ".", "--to", "to"),
    ("models", "list"): ("tiny",),
    ("methods", "show"): ("anchor",),
    ("quantizers", "show"): ("lsq",),
    ("recipes", "show"): ("smoke",),
    ("flatness",): STORED,
    ("audit",): STORED,
    ("cost",): STORED,
    ("sensitivity",): STORED,
    ("export",): (*STORED, "--output", "model.onnx"),
    ("test",): ("absent.py",),
}
DIGITS = "9" * 5000
TEXTS = ("", ",", "a\0b", DIGITS)
PATHS = ("", "a\0b", "x" * 300)
SPECIAL = ("a folder", "a pipe", "a device", "a socket", "an empty file", "bytes")
NUMBERS = ("", "-1", DIGITS, "99999999999999999999", "nan", "x")
REALS = ("", "-1", "nan", "inf", "1e999", "x")
READ = {"plugin", "weights", "baseline", "file", "beside"}
BIG = {("suites", "generate", "severity"): "6", ("bench", "check", "p"): "2"}


def values(words, param):
    kind = param.metavar
    if kind.startswith(("DIR", "FILE")):
        return (*PATHS, *SPECIAL) if param.name in READ else PATHS
    own = BIG.get((*words, param.name))
    return (
        *(NUMBERS if kind == "N" else REALS if kind in ("X", "P", "POINTS") else TEXTS),
        *([own] if own else []),
    )


def cases():
    for words, command in COMMANDS.items():
        for param in command.params:
            if not getattr(param, "is_flag", False) and param.name != "help":
                for value in values(words, param):
                    short = value if len(value) < 40 else f"{value[0]}x{len(value)}"
                    yield pytest.param(words, param, value, id=f"{' '.join(words)} {param.name} {short!r}")


def made(value, folder):
    """A file of this kind, or the value itself."""
    path = Path("special.py")
    if value == "a folder":
        path.mkdir()
    elif value == "a pipe":
        os.mkfifo(path)
    elif value == "a device":
        return "/dev/zero"
    elif value == "a socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif value in ("an empty file", "bytes"):
        path.write_bytes(b"" if value == "an empty file" else b"\x80\x00\xff not text")
    else:
        return value
    return path


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("words", "param", "value"), list(cases()))
def test_a_value_that_an_option_cannot_have(flatqat, tmp_path, monkeypatch, words, param, value):
    monkeypatch.chdir(tmp_path)
    given = made(value, tmp_path)
    rest = [str(word) for word in ENOUGH.get(words, ())]
    if param.name == "weights" and "--pretrained" in rest:  # either of them
        rest.remove("--pretrained")
    if param.param_type_name == "argument":
        arguments = [one for one in COMMANDS[words].params if one.param_type_name == "argument"]
        place = arguments.index(param)
        line = [*rest[:place], given, *rest[place + 1 :]]
    else:
        if param.opts[0] in rest and not param.multiple:
            del rest[rest.index(param.opts[0]) : rest.index(param.opts[0]) + 2]
        line = [*rest, param.opts[0], given]
    before = sorted(Path().rglob("*"))
    done = flatqat(*words, *line)
    assert done.code == 2, (done.code, done.out[-500:], done.err[-3000:])
    assert "Traceback" not in done.err
    assert re.search(r"expected|Invalid value|failed to import", done.err), done.err
    assert len(done.err) < 2500
    assert sorted(Path().rglob("*")) == before, "something was written"


OUTPUTS = [
    (words, param.opts[0])
    for words, command in COMMANDS.items()
    for param in command.params
    if param.name in ("output", "plot", "landscape", "write_baseline")
    and param.metavar.startswith(("FILE", "DIR"))
]


@pytest.mark.parametrize("own", ["records/toy", "weights", "data", "pictures", "sensitivity/x", ".work"])
@pytest.mark.parametrize(("words", "option"), OUTPUTS, ids=lambda value: "".join(value))
def test_an_output_among_the_files_of_the_results_folder_is_refused(flatqat, tmp_path, words, option, own):
    stored = tmp_path / "r" / own / "x.json"
    stored.parent.mkdir(parents=True)
    stored.write_text("stored")
    suffix = {"--plot": ".png", "--landscape": ".png"}.get(
        option, ".onnx" if words == ("export",) else ".json"
    )
    rest = [word for word in ENOUGH[words] if word != "--dry-run"]
    form = ("--format", "json") if words[1:] in (("report",), ("check",)) else ()
    if words == ("bench", "check"):
        rest[-1] = __file__  # a baseline that exists
    done = flatqat(*words, *rest, "--results", tmp_path / "r", *form, option, stored.with_suffix(suffix))
    said = rf"{option}: expected a place outside .*{own.split('/')[0]}, which is for stored results, got .*"
    assert_one_line_error(done, said)
    assert stored.read_text() == "stored"
    assert [path for path in (tmp_path / "r").rglob("*") if path.is_file()] == [stored]


def test_a_link_to_a_stored_file_and_a_stored_link_are_among_them(flatqat, tmp_path):
    for name in ("r/records", "r/weights", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link.json").symlink_to(tmp_path / "r/records/x.json")
    (tmp_path / "r/weights/y.json").symlink_to(tmp_path / "elsewhere/y.json")
    (tmp_path / "r/data").symlink_to(tmp_path / "elsewhere")
    for output in ("link.json", "r/weights/y.json", "elsewhere/z.json"):
        done = flatqat("bench", "baseline", "--results", tmp_path / "r", "--output", tmp_path / output)
        assert_one_line_error(done, "--output: expected a place outside ")


@pytest.mark.parametrize("command", ["diff", "merge", "compact"])
def test_nothing_is_written_among_the_files_of_other_folders_that_are_read(flatqat, tmp_path, command):
    a, b = (tmp_path / name for name in "ab")
    for folder in (a, b):
        (folder / "records").mkdir(parents=True)
        words = {
            "diff": ("bench", "diff", a, b, "--output", folder / "records" / "x.json"),
            "merge": ("results", "merge", a, b, "--into", folder / "records"),
            "compact": ("results", "compact", folder, "--into", folder / "records" / "x"),
        }[command]
        said = rf"expected a place outside .*{folder.name}.records, which is for stored results"
        assert_one_line_error(flatqat(*words), said)
        assert list((folder / "records").iterdir()) == []


def test_every_folder_of_a_results_folder_is_protected():
    known = {
        path.name for folder in RESULTS.glob("*/records") for path in folder.parent.iterdir() if path.is_dir()
    }
    assert known <= set(OWN_FOLDERS)
    layout = re.findall(r"RESULTS/([.a-z]+)/", store.__doc__)
    assert set(layout) == set(OWN_FOLDERS)
    assert {words for words, _ in OUTPUTS} >= {
        ("bench", "report"),
        ("bench", "check"),
        ("export",),
        ("flatness",),
    }


@pytest.mark.parametrize(
    ("words", "line", "said"),
    [
        ("sensitivity", "--solver greedy", "--solver: expected a budget beside it"),
        ("sensitivity", "--choose-on clean", "--choose-on: expected a budget beside it"),
        ("sensitivity", "--choices 8,4", "--choices: expected a budget beside it"),
        ("sensitivity", "--no-check", "--check/--no-check: expected a budget beside it"),
        ("flatness", "--grid 4", "--grid: expected --landscape beside it"),
        ("flatness", "--span 2", "--span: expected --landscape beside it"),
        (
            "flatness",
            "--measure trace --draws 9",
            "--draws: expected one of sharpness, code_flips, ",
        ),
        ("flatness", "--landscape l.csv --draws 9", "in --measure, got none; leave it out"),
        ("bench run", "--no-flatness --space latent", "--space: expected no --no-flatness"),
        ("bench run", "--all-revisions", "--all-revisions: expected no --dry-run"),
        ("bench report", "--against qat", "--against: expected --format study or html beside it, got table"),
        ("bench report", "--against qat --plot tax -o t.png", "--against: expected --format study or html"),
        ("bench report", "--format study --by family", "--format study: expected no --by, got family"),
        ("bench check", "--evaluation-only --retraining-sd 1", "--retraining-sd: expected no --evaluation"),
        ("bench check", "--only-changed --format json", "--only-changed: expected a format of tables"),
    ],
)
def test_an_option_that_means_nothing_without_another(flatqat, tmp_path, monkeypatch, words, line, said):
    monkeypatch.chdir(tmp_path)
    name = tuple(words.split())
    assert_one_line_error(flatqat(*name, *ENOUGH[name], *line.split()), re.escape(said))
    assert not list(tmp_path.iterdir())


def test_an_option_with_an_old_name_is_answered_with_the_new_one(flatqat):
    done = flatqat("bench", "run", "--budget", "smoke")
    assert (done.code, done.err) == (2, "error: No such option: --budget; its name is --recipe now\n")
    done = flatqat("bench", "run", "--budget=smoke")
    assert "--recipe now" in done.err


def test_an_option_that_is_nearly_one_is_answered_with_it(flatqat):
    done = flatqat("bench", "run", "--methods", "qat")
    assert done.code == 2
    assert "--method" in done.err.partition("No such option")[2].partition("Possible")[2]


@pytest.mark.parametrize("line", [("--method", ","), ("--recipe", ""), ("--recipe=",), ("--results", "")])
def test_the_option_without_a_value_is_named(flatqat, line):
    done = flatqat("bench", "run", *line)
    assert done.code == 2
    assert re.match(rf"error: {line[0].rstrip('=')}: expected a ", done.err)


@pytest.mark.parametrize(
    "line",
    [
        ("--seeds", "9" * 19 + ","),
        ("--device", "cuda:" + "9" * 20),
        ("--bits", "９"),
        ("--model", "tiny:"),
        ("--model", "file:" + "x" * 300 + ".py:make"),
        ("--set", "recipe.steps=" + "9" * 20),
        ("--set", "recipe.lr=nan"),
    ],
    ids=lambda line: f"{line[0]} {line[1][:30]}",
)
def test_values_that_only_the_plan_can_judge(flatqat, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    done = flatqat("bench", "run", *ENOUGH["bench", "run"], *line)
    assert done.code == 2
    assert re.match("error: .*(expected|this machine has)", done.err)


def test_the_variable_of_the_data_root_is_checked_as_the_option_is(flatqat, monkeypatch):
    monkeypatch.setenv("FLATQAT_DATA_ROOT", "x" * 300)
    done = flatqat("doctor")
    assert (done.code, done.err[:34]) == (2, "error: --data-root: expected a pat")


def test_a_model_with_a_long_path_has_a_record(flatqat, tmp_path):
    folder = tmp_path / ("a" * 120) / ("b" * 120)
    folder.mkdir(parents=True)
    (folder / "nets.py").write_text(
        "from flatqat.models.tiny import MODEL\n\n\ndef make(classes):\n    return MODEL.build('', classes)\n"
    )
    run = ("bench", "run", "--plugin", TOY, "--suite", "toy", "--no-flatness", "--results", tmp_path / "r")
    done = flatqat(*run, "--method", "fp,qat", "--model", f"file:{folder}/nets.py:make")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "r").rglob("*.json"))) >= 2
    assert flatqat("bench", "report", "--results", tmp_path / "r").code == 0
