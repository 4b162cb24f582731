"""Plugins that only work on a CPU are reported with their line, the line of the tensor, and what to do."""

import re
from pathlib import Path

import pytest

from flatqat import registry, testing

METHOD = """
import torch
from flatqat import Method

class OnTheCPU(Method):
    def step(self, x, y):
        {made}
        return super().step({used}, y)

METHOD = OnTheCPU
"""
QUANTIZER = """
import torch
from flatqat import Quantizer

THREE = torch.tensor([3.0])

class Deviations(Quantizer):
    def initialize(self, observed):
        spread = observed.reduce(observed.values.square()).sqrt()
        self.set_scale((THREE * spread / self.qmax).view_as(self.scale))

QUANTIZER = Deviations
"""
NETS = """
import torch
from torch import nn

class Shifted(nn.Module):
    def __init__(self, classes):
        super().__init__()
        {shift}
        self.conv = nn.Conv2d(3, 8, 4)
        self.last = nn.Linear(8, classes)

    def forward(self, x):
        return self.last(self.conv(x - self.shift).mean((2, 3)))

def make(classes):
    return Shifted(classes)
"""


@pytest.fixture(autouse=True)
def _only_the_check_of_devices(monkeypatch):
    for kind, checks in testing.CHECKS.items():
        if kind != registry.SUITES:
            (check,) = (check for check in checks if "on a device that is not the CPU" in check.__doc__)
            monkeypatch.setitem(testing.CHECKS, kind, [check])


def line(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_a_method_that_makes_a_tensor_on_the_cpu(flatqat, tmp_path):
    text = METHOD.format(made="noise = torch.zeros(x.shape)", used="x + noise")
    (file := tmp_path / "on_the_cpu.py").write_text(text)
    done = flatqat("test", file)
    assert done.code == 1
    (failed,) = done.out.splitlines()
    assert failed.startswith("FAILED method on-the-cpu: Training works on a device that is not the CPU")
    assert f"made in on_the_cpu.py:{line(text, 'noise =')}, in add; make it with device=x.device" in failed
    assert failed.endswith(f"({file}:{line(text, 'return')} in step)")


@pytest.mark.parametrize(
    ("made", "used", "said"),
    [
        ("picked = torch.arange(len(x)).flip(0)", "x.index_select(0, picked)", "in index_select"),
        ("numbers = torch.rand(x.shape, device=x.device, generator=torch.Generator())", "x", "a generator"),
        ("mean = x.numpy().mean()", "x - float(mean)", "for NumPy"),
    ],
)
def test_other_methods_that_need_the_cpu(tmp_path: Path, made: str, used: str, said: str) -> None:
    assert re.search(said, on_a_device(tmp_path / "needs_the_cpu.py", METHOD.format(made=made, used=used)))


def test_a_method_that_draws_on_the_cpu_and_moves_what_it_draws(tmp_path):
    made = "noise = torch.zeros(x.shape).to(x.device)"
    assert not on_a_device(tmp_path / "moves.py", METHOD.format(made=made, used="x + noise"))


def test_a_method_that_takes_the_model_to_the_cpu(tmp_path):
    made = "self.end = lambda batches: self.model.cpu()"
    found = on_a_device(tmp_path / "takes.py", METHOD.format(made=made, used="x"))
    assert found.startswith("expected the model on the device of the images, got ['")


def test_a_quantizer_with_a_constant_on_the_cpu(tmp_path):
    found = on_a_device(tmp_path / "deviation.py", QUANTIZER)
    assert "got one on the CPU, (1,), made earlier, in mul" in found
    assert found.endswith(f"/deviation.py:{line(QUANTIZER, 'self.set_scale')} in initialize)")


@pytest.mark.parametrize(
    ("shift", "moves"),
    [
        ("self.shift = torch.ones(3, 1, 1)", False),
        ("self.register_buffer('shift', torch.ones(3, 1, 1))", True),
    ],
)
def test_a_network_with_a_tensor_that_does_not_move(flatqat, tmp_path, shift, moves):
    (file := tmp_path / "nets.py").write_text(NETS.format(shift=shift))
    done = flatqat("test", f"file:{file}:make")
    assert done.code == (0 if moves else 1)
    assert ("or register it as a buffer" in done.out) != moves


def on_a_device(file: Path, text: str) -> str:
    """The problem that the check found, if any."""
    file.write_text(text)
    ((_, problem),) = testing.check_plugin(file)
    return problem
