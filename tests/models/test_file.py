"""Networks from a user's file: what they may return, what is said of mistakes, the file in the identity."""

import pytest
import torch
from typer.testing import CliRunner

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.cli import app
from flatqat.errors import FlatqatError, PluginError, UsageError
from flatqat.models.base import build

NETS = """
from torch import nn
from flatqat.models.base import Normalized
from flatqat.spec import EvalTransform

def plain(classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

def described(classes):
    net = plain(classes)
    net.mean, net.std = (0.1, 0.2, 0.3), (0.5, 0.5, 0.5)
    net.eval_transform = EvalTransform(resize=36, crop=32)
    return net

def normalized(classes):
    return Normalized(plain(classes), (0, 0, 0), (1, 1, 1))

def fails(classes):
    raise ValueError("no such depth\\nand more")

def number(classes):
    return classes

def half(classes):
    net = plain(classes)
    net.mean = (0.5, 0.5, 0.5)
    return net

def tensors(classes):
    import torch
    net = plain(classes)
    net.mean, net.std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    return net

def framed(classes):
    net = plain(classes)
    net.eval_transform = 224
    return net

constant = 3
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


@pytest.mark.parametrize(
    ("factory", "mean", "std", "crop"),
    [
        ("plain", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224),
        ("described", (0.1, 0.2, 0.3), (0.5, 0.5, 0.5), 32),
        ("normalized", (0, 0, 0), (1, 1, 1), 224),
    ],
)
def test_what_a_factory_may_return(nets, factory, mean, std, crop):
    model = build(f"file:{nets}:{factory}", classes=5, seed=0)
    images = torch.rand(2, 3, 8, 8)
    expected = model.net((images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    torch.testing.assert_close(model(images), expected)
    assert expected.shape == (2, 5)
    assert model.eval_transform.crop == crop


def test_the_seed_makes_the_weights(nets):
    a, b, c = (build(f"file:{nets}:plain", classes=5, seed=seed).net[0].weight for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize(
    ("factory", "error", "said"),
    [
        ("absent", PluginError, r"expected it to define a function absent\(classes\), got none"),
        ("constant", PluginError, r"expected it to define a function constant\(classes\)"),
        ("fails", PluginError, r"fails\(5\) failed: ValueError: no such depth \(.*nets\.py:19 in fails\)$"),
        ("number", PluginError, "to return an nn.Module or a Normalized, got int"),
        ("half", PluginError, "mean and std of three numbers each, or neither"),
        ("tensors", PluginError, "mean and std of three numbers each, or neither"),
        ("framed", PluginError, "expected eval_transform to be a flatqat.EvalTransform, got int"),
        ("", UsageError, "expected 'file:PATH.py:FUNCTION'"),
    ],
)
def test_mistakes_in_the_file(nets, factory, error, said):
    with pytest.raises(error, match=said):
        build(f"file:{nets}:{factory}", classes=5, seed=0)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("file", "expected 'file:NAME', got no name"),
        ("file:nets.py", "expected 'file:PATH.py:FUNCTION'"),
        ("file:nowhere.py:make", "expected a file nowhere.py, got none"),
        ("file:nets.txt:make", "expected 'file:PATH.py:FUNCTION'"),
    ],
)
def test_names_that_are_no_file(model, said):
    with pytest.raises(UsageError, match=said):
        build(model, classes=5, seed=0)


@pytest.mark.parametrize("text", ["def make(:", "import nothing_of_that_name", "raise SystemExit(3)"])
def test_files_that_do_not_import(tmp_path, text):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(PluginError, match=r"bad\.py failed to import"):
        build(f"file:{tmp_path / 'bad.py'}:make", classes=5, seed=0)


def test_a_mistake_is_one_line_on_the_command_line(nets, tmp_path):
    result = CliRunner().invoke(
        app, ["bench", "run", "--model", f"file:{nets}:fails", "--seeds", "1", "--results", str(tmp_path)]
    )
    assert isinstance(result.exception, FlatqatError)  # printed by `main` as one line, exit code 2


def test_the_content_of_the_file_is_part_of_the_cell(nets, tmp_path):
    def cells(path):
        request = Request(
            suites=("digits-c",),
            methods=("fp",),
            bits=("4",),
            seeds=(0,),
            models=(f"file:{path}:plain",),
            results=tmp_path,
        )
        return [job.cell for job in make_plan(request).jobs]

    before = cells(nets)
    assert cells(nets) == before
    nets.write_text(NETS + "\n# another version\n")
    after = cells(nets)
    assert [a.model for a in after] == [b.model for b in before]
    assert all(a.id != b.id for a, b in zip(after, before, strict=True))
