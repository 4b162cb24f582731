"""What networks of users return: logits in a dict or a tuple, and what is no logits at all."""

import re
from collections import OrderedDict, namedtuple

import pytest
import torch

from flatqat.bench.records.store import Store
from flatqat.errors import UsageError
from flatqat.models.base import build
from flatqat.models.outputs import logits_of
from tests.helpers import TOY
from tests.helpers.command_line import assert_one_line_error

X, Y = torch.rand(2, 3), torch.rand(2, 5)
Pair = namedtuple("Pair", "logits aux")

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, output):
        super().__init__()
        self.conv, self.head, self.output = nn.Conv2d(3, 8, 4, 4), nn.Linear(128, classes), output

    def forward(self, x):
        return self.output(self.head(self.conv(x).relu().flatten(1)), self.training)

def plain(classes): return Net(classes, lambda y, training: y)
def in_out(classes): return Net(classes, lambda y, training: {"out": y, "aux": y * 0})
def in_logits(classes): return Net(classes, lambda y, training: {"features": y * 0, "logits": y})
def in_tuple(classes): return Net(classes, lambda y, training: (y, y * 0))
def in_training(classes): return Net(classes, lambda y, training: (y, y * 0) if training else y)
def unnamed(classes): return Net(classes, lambda y, training: {"a": y, "b": y})
def nothing(classes): return Net(classes, lambda y, training: None)
def generator(classes): return Net(classes, lambda y, training: (row for row in y))
def number(classes): return Net(classes, lambda y, training: (3, y))
def narrow(classes): return Net(classes - 1, lambda y, training: y)
def flat(classes): return Net(classes, lambda y, training: y.flatten())
def undefined(classes): return Net(classes, lambda y, training: y * float("nan"))
def fails(classes): return Net(classes, lambda y, training: y.nothing_of_that_name)
def only_in_training(classes): return Net(classes, lambda y, training: None if training else y)
"""


@pytest.mark.parametrize(
    "output",
    [
        X,
        {"out": X, "aux": Y},
        {"logits": X, "a": Y},
        {"y": X, "n": 3},
        (X, Y),
        [X],
        Pair(X, Y),
        OrderedDict(out=X),
    ],
    ids=["tensor", "out", "logits", "only", "tuple", "list", "named tuple", "ordered"],
)
@pytest.mark.parametrize("training", [True, False])
def test_logits_are_found_where_there_is_no_doubt(output, training):
    assert logits_of(output, training=training) is X


def test_heads_are_for_training():
    heads = ((1.0, X), (0.4, Y))
    assert logits_of(heads, training=True) is heads
    with pytest.raises(UsageError, match="got tuple of tuple, tuple"):
        logits_of(heads, training=False)


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


RUN = ("bench", "run", "--plugin", TOY, "--suite", "toy", "--method", "fp", "--no-flatness")


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("unnamed", "got dict with the keys a, b"),
        ("nothing", "got NoneType"),
        ("generator", "got generator"),
        ("number", "got tuple of int, Tensor"),
        ("narrow", r"expected logits \(2, 4\), got \(2, 3\)"),
        ("flat", r"expected logits \(2, 4\), got \(8,\)"),
        ("undefined", "expected numbers as logits, got NaN"),
        ("fails", r"got: AttributeError: .*nothing_of_that_name.* \(.*nets\.py:25 in <lambda>\)"),
    ],
)
def test_what_is_no_logits_is_refused(flatqat, tmp_path, nets, factory, said):
    done = flatqat(*RUN, "--model", f"file:{nets}:{factory}", "--results", tmp_path / "r")
    errors = done.err.splitlines(keepends=True)[-1]
    done.err = errors
    assert_one_line_error(done, said)
    assert not list((tmp_path / "r").rglob("*.json"))


def test_what_is_no_logits_in_training_alone_costs_its_cell(flatqat, tmp_path, nets):
    done = flatqat(
        *RUN, "--seeds", "1", "--model", f"file:{nets}:only_in_training", "--results", tmp_path / "r"
    )
    assert done.code == 3
    assert "Traceback" not in done.err
    (record,) = Store(tmp_path / "r").records()
    assert record.status == "skipped"
    assert re.match(
        r"its parent \S+ failed: expected the network to return logits.*got NoneType", record.reason
    )


@pytest.mark.parametrize("factory", ["in_out", "in_logits", "in_tuple", "in_training"])
def test_networks_that_wrap_their_logits_are_those_that_do_not(flatqat, tmp_path, nets, factory):
    done = flatqat(*RUN, "--model", f"file:{nets}:{factory}", "--results", tmp_path / "r")
    assert done.code == 0, done.err
    images = torch.rand(2, 3, 16, 16)
    plain, wrapped = (build(f"file:{nets}:{name}", classes=4, seed=0) for name in ("plain", factory))
    for training in (True, False):
        assert torch.equal(plain.train(training)(images), wrapped.train(training)(images))
