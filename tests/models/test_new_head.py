"""The last layer for other classes than a file's: how it starts, and from which draws."""

from dataclasses import replace
from math import log
from pathlib import Path

import pytest
import torch
from torch import nn

from flatqat.bench.engine.train import starting_point
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.models.base import build, load_initial_

EFFICIENTNETS = [
    ("timm:tf_efficientnet_lite0", "timm"),
    ("torchvision:efficientnet_b0", "torchvision"),
]
LAST = {"timm": "classifier", "torchvision": "classifier.1"}


def stored(model, path, classes=10):
    torch.save(build(model, classes=classes, seed=5).net.state_dict(), path)
    return path


@pytest.mark.filterwarnings("ignore")  # torchvision warns of itself at import
@pytest.mark.parametrize(("model", "library"), EFFICIENTNETS)
def test_it_starts_as_torchs_own_layer_does(model, library, tmp_path):
    """EfficientNets draw theirs within 1 / sqrt(7), 14 times as far as nn.Linear does."""
    pytest.importorskip(library, exc_type=ImportError)
    path = stored(model, tmp_path / "w.pth")
    ours = build(model, classes=7, seed=0)
    torch.manual_seed(3)
    load_initial_(ours, model, path, new_head=True)
    torch.manual_seed(3)
    expected, head = nn.Linear(1280, 7), ours.net.get_submodule(LAST[library])
    assert torch.equal(head.weight, expected.weight)
    assert torch.equal(head.bias, expected.bias)


def test_one_that_the_file_has_is_the_files(tmp_path):
    path = stored("tiny", tmp_path / "w.pth")
    ours = build("tiny", classes=10, seed=0)
    load_initial_(ours, "tiny", path, new_head=True)
    state = torch.load(path)
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.net.state_dict().items())


def test_it_is_the_same_for_all_methods_and_another_for_each_seed(tmp_path):
    """Whatever was drawn before: cells of one seed are trained in any process."""
    path = stored("tiny", tmp_path / "w.pth")

    def start(method, seed):
        request = Request(
            suites=("digits-c",),
            models=("tiny",),
            methods=(method,),
            bits=("4",),
            seeds=(seed,),
            weights=path,
        )
        job = next(job for job in make_plan(request).jobs if job.cell.method == method)
        job = replace(job, suite=replace(job.suite, classes=7, new_head=True), parent=None, weights=path)
        return list(starting_point(job, Store(Path("none"))).net.parameters())[-2:]

    first = start("qat", 0)
    torch.rand(1)
    assert all(map(torch.equal, first, start("fp", 0)))
    assert not any(map(torch.equal, first, start("qat", 1)))


@pytest.mark.filterwarnings("ignore")
def test_fine_tuning_starts_at_the_loss_of_a_guess(shared):
    """With trained features: log 7 within 0.04 for five seeds, where EfficientNet's own start has 4.2."""
    pytest.importorskip("timm", exc_type=ImportError)
    path = shared / "models" / "tf_efficientnet_lite0.safetensors"
    model = "timm:tf_efficientnet_lite0"
    ours = build(model, classes=7, seed=0).eval()
    torch.manual_seed(0)
    load_initial_(ours, model, path, new_head=True)
    images = torch.rand(64, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = nn.functional.cross_entropy(ours(images), torch.arange(64) % 7)
    assert loss.item() == pytest.approx(log(7), abs=0.2)
