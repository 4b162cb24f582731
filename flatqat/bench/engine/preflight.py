"""Is the data there, is it what this results folder was made from, and do the models accept it?"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from flatqat.bench.plan.base_cell import code_files
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.console.progress import Progress
from flatqat.data.images.views import eval_crop
from flatqat.errors import DataError, UsageError
from flatqat.finding import Finding
from flatqat.suite import Suite


def check_data(jobs: list[Job], request: Request, store: Store, progress: Progress) -> None:
    """Raise DataError or UsageError before anything is computed, and tie the results folder to its data.

    What is there in part is told and used.
    """
    suites = {id(job.suite): job.suite for job in jobs}.values()
    verifiers = {suite.family: suite.verify for suite in suites}
    parts = {name: _parts(name, verify(request.data_root)) for name, verify in verifiers.items()}
    for name, told in parts.items():
        for text in told:
            progress.say(f"{name}: {text}")
    check_starts(jobs)
    for suite, model in {
        (job.suite.name, job.cell.model): (job.suite, job.cell.model) for job in jobs
    }.values():
        _check_model(suite, model, request.data_root)
    store.check_writable()
    for suite in suites:
        here, there = _fingerprint(suite, request.data_root), store.data(suite)
        if there is None:
            store.write_data(suite, here, [_short(text) for text in parts[suite.family]])
        elif there != here:
            raise DataError(
                f"suite {suite.name}: expected the images that {store.root} was made from "
                f"(fingerprint {there}), got others ({here}); use another --results"
            )


def check_starts(jobs: Iterable[Job]) -> None:
    """Raise UsageError where untrained weights would be scored: no file to start from, and no step to take.

    A network from a file of the user's own may bring its weights along.
    """
    for job in jobs:
        root = job
        while root.parent:
            root = root.parent
        steps = root.recipe.pretrain_steps + job.recipe.steps
        if not (root.weights or steps or code_files(job.cell.model)):
            raise UsageError(
                f"model {job.cell.model} on {job.suite.name}: expected weights to start from, since the "
                f"recipe {job.cell.recipe!r} trains nothing, got none; pass --weights FILE or --pretrained"
            )


def _parts(name: str, findings: list[Finding]) -> list[str]:
    """What is there only in part."""
    for finding in findings:
        if finding.is_fatal:
            raise DataError(f"suite {name}: {finding.what}; {finding.fix}")
    return [finding.what for finding in findings if finding.partial]


def _short(text: str) -> str:
    """Without examples, and without paths of this machine, for records."""
    text = text.partition(" (")[0]
    return text.partition(": expected")[0] if "/" in text else text


def _fingerprint(suite: Suite, root: Path | None) -> str:
    """Eight hex digits of training, validation and every test set: all labels and a few images of each, and
    of what else these are made with."""
    sets = [suite.train(root), *(shift.build(root) for shift in suite.scored)]
    known: dict[tuple[int, int], str] = {}  # sets that differ in their transforms alone are decoded once
    for data in sets:
        key = (id(data.fetch), id(data.labels))
        known[key] = known.get(key) or data.fingerprint()
    digests = [known[id(data.fetch), id(data.labels)] for data in sets]
    return hashlib.sha256("".join([*digests, suite.made_with()]).encode()).hexdigest()[:8]


def _check_model(suite: Suite, model: str, root: Path | None) -> None:
    """Forward passes of two images, clean and shifted: sizes that the network cannot take show now.

    Of one, where each pixel is classified.
    """
    import torch

    from flatqat.models.base import build

    net = build(model, classes=suite.classes, seed=0, eval_transform=suite.eval_transform).eval()
    clean, shifted = (
        data.transformed(eval_crop(net.eval_transform))
        for data in (suite.val(root), suite.shifts[-1].build(root))
    )
    for data in (clean, shifted):
        images, labels = data.batch(torch.arange(1 if data.per_pixel else 2))
        expected = (len(images), suite.classes, *labels.shape[1:])
        with torch.no_grad():
            try:
                output = net.predict(images)
            except (RuntimeError, AssertionError, ValueError) as error:
                cause = str(error).partition("\n")[0]
                raise UsageError(
                    f"model {model}: expected it to accept images of {suite.name}, "
                    f"{tuple(images.shape[1:])}, got: {cause}; choose another model or suite"
                ) from error
        if output.shape != expected:
            raise UsageError(
                f"model {model}: expected logits {expected}, got {tuple(output.shape)}; choose another model"
            )
