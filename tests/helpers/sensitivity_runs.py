"""Small stored cells, and commands on them, for tests of sensitivity."""

from dataclasses import replace
from pathlib import Path

import torch

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.sensitivity.opened import Opened, open_cell
from flatqat.bench.sensitivity.options import Options
from flatqat.bench.sensitivity.run import Found, Sensitivity
from flatqat.console.progress import Progress
from flatqat.quant.apply import calibrate, quantize_
from flatqat.spec import QuantSpec
from tests.helpers.running import CPU, run_plan


def store(folder: Path, suite: str = "toy", methods: tuple[str, ...] = ("fp", "ptq"), **options) -> Path:
    """A results folder with a cell of each method at 4 bits."""
    request = Request(suites=(suite,), methods=methods, bits=("4",), seeds=(0,), results=folder, spaces=())
    run_plan(make_plan(replace(request, **options)))
    return folder


def opened(folder: Path, cell: str = "tiny-fp") -> Opened:
    return open_cell(cell, folder, None, (), CPU)


def run(folder: Path, options: Options, cell: str = "tiny-fp", workers: int = 0) -> Found:
    return Sensitivity(opened(folder, cell), options, Progress(), device=CPU, workers=workers).run()


def quantized_(net: torch.nn.Module, spec: QuantSpec, batches, model=None) -> None:
    """Put quantizers on `net` and calibrate as ptq does."""
    quantize_(net, spec)
    calibrate(model or net, batches, "mse")
    net.eval()
