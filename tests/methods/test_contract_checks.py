"""The contract checks detect methods that break them."""

import pytest
import torch

from flatqat.methods.qat import QAT
from flatqat.testing import methods as checks


class LeavesItsPerturbation(QAT):
    def gradient(self, x, y):
        logs = super().gradient(x, y)
        with torch.no_grad():
            next(self.model.parameters()).add_(1e-6)
        return logs


class RemembersItsEnd(QAT):
    def end(self, batches):
        self.optimizer.state.clear()
        super().end(batches)


class NeedsQuantizers(QAT):
    def begin(self, batches):
        super().begin(batches)
        next(m for m in self.model.modules() if hasattr(m, "bits"))


class StandsStillInFloatingPoint(QAT):
    def gradient(self, x, y):
        loss = self.task_gradient(x, y)
        if not any(hasattr(m, "bits") for m in self.model.modules()):
            self.optimizer.zero_grad()
        return {"loss": loss}


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (checks.method_puts_back_what_it_moves, LeavesItsPerturbation),
        (checks.method_end_changes_the_model_alone, RemembersItsEnd),
        (checks.method_works_in_floating_point, NeedsQuantizers),
        (checks.method_works_in_floating_point, StandsStillInFloatingPoint),
    ],
)
def test_a_broken_promise_is_found(check, broken):
    check(QAT)
    with pytest.raises((AssertionError, StopIteration)):
        check(broken)
