"""Selection of the checkpoint that is kept: the best one on `val`, which is in-distribution."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from flatqat.bench.cell.batches import Batch, val_batch_size
from flatqat.bench.cell.session import Session
from flatqat.bench.plan.jobs import Job
from flatqat.data.images.views import eval_crop
from flatqat.methods.base import Method
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized


class Selection:
    """Scores the model on `val` every `recipe.select_every` steps and keeps the best weights in `best`.

    With `select_every=0` nothing is selected, and `best` stays None. The score is the suite's metric,
    averaged over the groups of `val` (the source domains); of equal scores the earliest wins. With
    `recipe.select_images` it is of so many images of `val`, the same for all methods and steps.

    Source: Gulrajani & Lopez-Paz 2021 (arXiv 2007.01434), section 3, training-domain validation.
    """

    def __init__(self, job: Job, method: Method, model: Normalized, session: Session) -> None:
        self.job, self.method, self.model, self.session = job, method, model, session
        self.best: dict[str, Tensor] | None = None
        self.scores: dict[int, float] = {}

    @property
    def name(self) -> str:
        """The name of the score, `val_top1` or `val_miou`."""
        return f"val_{self.job.suite.metric}"

    def is_due(self, step: int) -> bool:
        """Return whether the model is scored after this step."""
        every = self.job.recipe.select_every
        return bool(every) and (step % every == 0 or step == self.method.total_steps)

    def score_now(self, step: int, for_batchnorm: Sequence[Batch]) -> None:
        """Score the model as it would be deployed now, then restore it, so that training is unchanged."""
        before = snapshot(self.model.net)
        self.method.end(for_batchnorm)
        self.scores[step] = self._val_score()
        if self.scores[step] > max((s for at, s in self.scores.items() if at != step), default=-1.0):
            self.best = snapshot(self.model.net, "cpu")
        self.model.net.load_state_dict(before)

    def log(self) -> dict[str, Any]:
        """Return the chosen step and the score of every step that was scored, for the record."""
        step = max(self.scores, key=lambda at: (self.scores[at], -at))
        return {"step": step, self.name: {str(at): round(s, 4) for at, s in self.scores.items()}}

    @torch.no_grad()
    def _val_score(self) -> float:
        """Return the score of the model as it is, in percent."""
        model, suite, device = self.model.eval(), self.job.suite, self.session.device
        data = suite.val(self.session.request.data_root).sample(self.job.recipe.select_images or None)
        cropped = data.transformed(eval_crop(model.eval_transform))
        groups = torch.zeros(len(data), dtype=torch.long) if data.groups is None else data.groups
        meters = {int(g): task_of(suite.task).meter(suite.classes) for g in groups.unique()}
        size = val_batch_size(cropped, device)
        batches = cropped.batches(size, device, self.session.request.workers)
        for (x, y), group in zip(batches, groups.split(size), strict=True):
            output = model.predict(x)
            for g in group.unique().tolist():
                members = (group == g).to(device)
                meters[g].add(output[members], y[members])
        scores = [each.result()[0][suite.metric].value for each in meters.values()]
        return fmean(score if score is not None else 0.0 for score in scores)


def snapshot(module: nn.Module, device: str | None = None) -> dict[str, Tensor]:
    """Return a copy of a module's state, on its own device or another."""
    state = ((name, tensor.detach().clone().contiguous()) for name, tensor in module.state_dict().items())
    return {name: tensor.to(device) if device else tensor for name, tensor in state}
