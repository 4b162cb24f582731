"""The half cosine against torch's own schedule, and where adaround follows it."""

from math import cos, pi

import pytest
import torch
from torch.nn import functional as F

from flatqat.methods.adaround import AdaRound, Config, Rounding
from flatqat.methods.base import Setup
from flatqat.methods.schedule import half_cosine
from tests.helpers.method_runs import RECIPE, batches, network


@pytest.mark.parametrize(("first", "last"), [(1.0, 0.0), (0.1, 0.01), (0.0, 0.4), (20.0, 2.0)])
def test_it_is_the_schedule_of_torch(first: float, last: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=first)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7, eta_min=last)
    for step in range(8):
        assert half_cosine(step / 7, first, last) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_beta_of_adaround_falls_from_20_to_2_after_a_fifth_of_the_iterations(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(Rounding, "undecided", lambda self, beta: seen.append(beta) or self.h.sum())
    method = AdaRound(Setup(model=network("3"), loss=F.cross_entropy, recipe=RECIPE), Config(iterations=10))
    method.begin(batches(1))
    assert seen[:8] == pytest.approx([11 + 9 * cos(pi * k / 8) for k in range(8)])
    assert seen == 3 * seen[:8]  # layer by layer
