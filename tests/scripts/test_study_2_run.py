"""The parts of the second study are those of its plan, and their commands exist."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import save_file

from flatqat.models.base import build
from scripts.study_2 import run as study
from scripts.study_2.run import PARTS

ROOT = Path(__file__).parent.parent.parent
A_SEED = {
    "contrast": 2 * 3,
    "reference": 1,
    "controls": 3 + 2 * 3 + 3,
    "profile": 5 + 3 + 1,
    "adapted": 2 * (1 + 3),
    "dual-search": 3,
    "dual": 3,
    "network": 1 + 5,
    "shapes": 1 + 3,
    "pacs-search": 4 * 2,
    "pacs": 4 * (1 + 4 * 3 + 2),
    "flatness": 3 * 2 * (12 + 4 + 4),
}
"""The cells of one seed, by part: methods times bit-widths, and domains or settings."""


ENDED = SimpleNamespace(returncode=0)


@pytest.mark.parametrize(("codes", "code"), [((0, 0, 0), 0), ((0, -9, 0), 1), ((0, 1, 0), 1)])
def test_a_command_that_fails_or_is_killed_fails_the_part(monkeypatch, codes, code):
    left = iter(codes)
    monkeypatch.setattr(study.subprocess, "run", lambda command: SimpleNamespace(returncode=next(left)))
    monkeypatch.setattr(study.sys, "argv", ["run", "controls", "data", "weights", "results", "0"])
    assert study.main() == code


def test_pacs_runs_with_what_val_chose(monkeypatch, capsys, tmp_path):
    started = []
    monkeypatch.setattr(study.subprocess, "run", lambda command: started.append(command) or ENDED)
    monkeypatch.setattr(study.sys, "argv", ["run", "pacs", "data", "weights", str(tmp_path), "0"])
    assert study.main() == 2
    assert "expected all runs of pacs-search" in capsys.readouterr().err
    assert not started
    settings = (("batch_size", 48), ("lr", 0.003), ("steps", 600))
    monkeypatch.setattr(study.pacs_search, "chosen", lambda store: settings)
    assert study.main() == 0
    for command in started:
        assert command[-2:] == ["--set=recipe.lr=0.003", "--set=recipe.steps=600"]
    assert len(started) == 2


def of_command(command, option):
    return command[command.index(option) + 1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--method", "qat,sagm"], [("pacs", "qat,sagm", "w7a32,4,3")]),
        (["--suite=pacs@photo", "--bits", "4,3", "--jobs", "2"],
         [("pacs@photo", "fp,qat,anchor,sagm,swad", "4,3")]),
        (["--bits", "w7a32"],
         [("pacs", "fp,qat,anchor,sagm,swad", "w7a32"), ("pacs", "frozen-convolutions", "w7a32")]),
        (["--bits", "fp"], [("pacs", "frozen-convolutions", "fp")]),
    ],
)  # fmt: skip
def test_options_choose_among_the_cells_of_a_part(monkeypatch, options, expected):
    started = []
    monkeypatch.setattr(study.subprocess, "run", lambda command: started.append(command) or ENDED)
    monkeypatch.setattr(study.pacs_search, "chosen", lambda store: (("lr", 0.003), ("steps", 600)))
    monkeypatch.setattr(study.sys, "argv", ["run", "pacs", "data", "weights", "results", "0", "--", *options])
    assert study.main() == 0
    found = [tuple(of_command(c, option) for option in ("--suite", "--method", "--bits")) for c in started]
    assert found == expected
    for command in started:
        assert all(command.count(option) == 1 for option in ("--suite", "--method", "--bits"))
        assert ("--jobs" in command) == ("--jobs" in options)


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("contrast", ["--method", "qat,anchr"]),
        ("contrast", ["--suite", "pacs"]),
        ("contrast", ["--method", "anchor", "--bits", "8"]),
        ("pacs-search", ["--bits", "4"]),
    ],
)
def test_options_that_are_not_of_the_part_are_refused(monkeypatch, capsys, part, options):
    monkeypatch.setattr(study.subprocess, "run", lambda command: pytest.fail("expected nothing to run"))
    monkeypatch.setattr(study.sys, "argv", ["run", part, "data", "weights", "results", "--", *options])
    assert study.main() == 2
    assert f"{options[-2]} to choose among the cells of the part, got" in capsys.readouterr().err


def test_a_quantizer_of_one_command_starts_no_other(monkeypatch):
    started = []
    monkeypatch.setattr(study.subprocess, "run", lambda command: started.append(command) or ENDED)
    given = ["run", "profile", "data", "weights", "results", "0", "--", "--bits", "w32a3@clip"]
    monkeypatch.setattr(study.sys, "argv", given)
    assert study.main() == 0
    assert [of_command(command, "--plugin") for command in started] == ["scripts/clip.py"]


def test_every_part_is_counted():
    assert set(A_SEED) == set(PARTS)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of weights of the two networks, made up."""
    folder, sizes = tmp_path_factory.mktemp("weights"), {"cifar:resnet20": 10}
    sizes["timm:tf_efficientnet_lite0"] = 1000
    files = {}
    for name, classes in sizes.items():
        files[name] = folder / f"{name.partition(':')[2]}.safetensors"
        save_file(build(name, classes=classes, seed=0).net.state_dict(), files[name])
    return files


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_the_cells_of_the_plan(part, flatqat, tmp_path, monkeypatch, weights):
    """The command comes as far as looking for the images, which are not there."""
    pytest.importorskip("timm")
    monkeypatch.chdir(ROOT)  # the paths of plugins are relative to it
    where = ("--results", tmp_path / "results", "--data-root", tmp_path / "nowhere")
    planned = []
    for run in PARTS[part][1]:
        file = weights[run[run.index("--model") + 1]]
        done = flatqat("bench", "run", *run, "--seeds", "0,", *where, "--weights", file, "--dry-run")
        planned += [line.split()[2] for line in done.out.splitlines() if line.startswith("to run ")]
        assert "missing " in done.out, done.err
    assert len(planned) == len(set(planned))
    assert len([cell for cell in planned if "-fp-" not in cell or part != "profile"]) == A_SEED[part]
