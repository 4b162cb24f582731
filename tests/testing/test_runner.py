"""What `flatqat test` can check, and where it says that something is wrong."""

import re
import subprocess
import sys

import pytest

from flatqat.commands.contract import print_outcomes
from tests.helpers import HELPERS
from tests.helpers.command_line import assert_one_line_error

NETS = """
from torch import nn

def good(classes):
    return nn.Sequential(nn.Conv2d(3, 8, 4), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, classes))

def fixed(classes):
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten(), nn.Linear(512, classes))

def narrow(classes):
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 1))

class Raises(nn.Module):
    def forward(self, x):
        return x.nothing_of_that_name

def raises(classes):
    return Raises()
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


@pytest.mark.parametrize("name", ["good", "fixed"])
def test_a_network_of_ones_own_passes(flatqat, nets, name):
    done = flatqat("test", f"file:{nets}:{name}")
    assert done.code == 0, done.out
    assert done.out.count(f"passed model file:{nets}:{name}") == 3


@pytest.mark.parametrize(
    ("name", "said", "where"),
    [
        ("narrow", r"expected logits \(2, 4\), got \(2, 1\)", "def narrow"),
        ("raises", r"raised AttributeError\(.*nothing_of_that_name", "return x.nothing"),
    ],
)
def test_a_failure_is_reported_with_its_line_in_the_file(flatqat, nets, name, said, where):
    done = flatqat("test", f"file:{nets}:{name}")
    assert done.code == 1
    line = NETS[: NETS.index(where)].count("\n") + 1
    assert re.search(rf"FAILED model file:\S+: .*{said}.* \({nets}:{line} in \w+", done.out), done.out


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("file:nowhere.py:make", "expected a file nowhere.py, got none"),
        ("file:nets.py", "expected 'file:PATH.py:FUNCTION'"),
        ("nowhere.py", "expected a Python file, got none"),
        ("file:nets.py:other", r"nets.py: expected it to define a function other\(classes\), got none"),
    ],
)
def test_what_is_not_there(flatqat, nets, monkeypatch, file, said):
    monkeypatch.chdir(nets.parent)
    assert_one_line_error(flatqat("test", file), said)


def test_data_is_for_suites(flatqat, nets):
    done = flatqat("test", f"file:{nets}:good", "--data-root", nets.parent)
    assert_one_line_error(done, "--data-root: expected a suite in file:.*, got a model; leave it out")


QUANTIZER = """
from flatqat.quant.lsq import LSQ


class Half(LSQ):
    def forward(self, v):
        return super().forward(v) / 2


QUANTIZER = Half
"""


def test_a_quantizer_that_fails_is_reported_with_its_line(flatqat, tmp_path):
    (tmp_path / "half.py").write_text(QUANTIZER)
    done = flatqat("test", tmp_path / "half.py")
    assert done.code == 1
    assert re.search(rf"FAILED quantizer half: .*\({tmp_path}/half\.py:5 in Half, checked by ", done.out), (
        done.out
    )


def test_a_quantizer_whose_calibration_takes_too_little_is_told_as_in_a_run(flatqat, tmp_path):
    """A run hands over the percentile, too."""
    file = tmp_path / "own.py"
    file.write_text(
        "from flatqat.quant.lsq import LSQ\n\nclass Own(LSQ):\n    def calibrate(self, observed, ranges):\n"
        "        super().calibrate(observed, ranges)\n\nQUANTIZER = Own\n"
    )
    done = flatqat("test", file)
    assert done.code == 1
    assert "takes 3 positional arguments but 4 were given" in done.out


def test_a_reason_is_printed_once(capsys):
    outcomes = [
        ("a", ""),
        ("b", "no x (f.py:3 in step)"),
        ("c", "no x (f.py:3 in step)"),
        ("d", "no y (f.py:1 in F, checked by methods.py:7 in one)"),
        ("e", "no y (f.py:1 in F, checked by methods.py:9 in other)"),
        ("f", "no y (f.py:1 in F, checked by methods.py:8 in third)"),
        ("g", "no z (f.py:4 in end)"),
    ]
    assert not print_outcomes(outcomes)
    assert capsys.readouterr().out.splitlines() == [
        "passed a",
        "FAILED b: no x (f.py:3 in step)",
        "FAILED d: no y (f.py:1 in F, checked by methods.py:7 in one)",
        "FAILED g: no z (f.py:4 in end)",
        '1 more check failed for the same reason as "b"',
        '2 more checks failed for the same reason as "d"',
    ]
    assert print_outcomes([("a", ""), ("b", "")])


def test_a_check_is_printed_when_it_is_done(capsys):
    """The second check sees the line of the first."""

    def outcomes():
        yield "a", ""
        assert capsys.readouterr().out == "passed a\n"
        yield "b", ""

    print_outcomes(outcomes())


def test_libraries_print_nothing_about_themselves(tmp_path):
    pytest.importorskip("timm")
    (tmp_path / "nets.py").write_text("import timm\n\n\ndef make(classes):\n    1 / 0\n")
    command = [sys.executable, "-m", "flatqat", "test", f"file:{tmp_path / 'nets.py'}:make"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("field", "broken", "said"),
    [
        ("train", "lambda root: 1 / 0", "ZeroDivisionError"),
        ("val", "lambda root: 3", "'int' object has no attribute 'sample'"),
        ("val", "lambda root: labeled(root, 99)", "val: expected labels from 0 to 3, got others"),
    ],
)
def test_images_of_training_and_selection_are_checked_as_others_are(flatqat, tmp_path, field, broken, said):
    text = (HELPERS / "toy.py").read_text().replace('name="toy"', 'name="mine"')
    given = re.search(rf"^    {field}=.*,$", text, re.MULTILINE)
    assert given
    helper = (
        "\n\ndef labeled(root, label):\n    import torch\n    from flatqat import ImageData\n"
        "    images, labels = torch.zeros(8, 3, 16, 16, dtype=torch.uint8), torch.full((8,), label)\n"
        "    return ImageData.in_memory(images, labels, classes=100, source='mine')\n"
    )
    text = text.replace(given.group(), f"    {field}={broken},")
    (tmp_path / "mine.py").write_text(text.replace("\nSUITE =", f"{helper}\n\nSUITE ="))
    done = flatqat("test", tmp_path / "mine.py")
    assert done.code == 1
    assert re.search(rf"FAILED suite mine: .*{said}", done.out), done.out
