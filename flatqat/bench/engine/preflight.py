"""Checks before anything is computed: is the data there, is it the results folder's, do models accept it?"""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import torch

from flatqat.bench.cell.halving import again
from flatqat.bench.cell.same_images import check_fingerprint, check_same_images
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import Job, Plan
from flatqat.bench.plan.networks import EVAL, code_files
from flatqat.bench.records.writable import check_looks_writable, check_writable
from flatqat.data.images.views import eval_crop
from flatqat.errors import DataError, FlatqatError, UsageError
from flatqat.memory import out_of_memory
from flatqat.registry import place
from flatqat.spec import SuiteData
from flatqat.suite import Suite


def preflight(todo: Sequence[Lack], plan: Plan, session: Session, troubles: Troubles) -> None:
    """Check data, models and results folder of all that is to do, and tie the folder to its data.

    An incomplete dataset is used as far as it goes, and the user is told; a model that crashes is left to
    `troubles`. Raises DataError if data is wrong, missing or not that of the results folder, UsageError if a
    model does not accept a suite's images or has no weights to start from, or a batch is too small,
    PluginError if the code of a suite fails, and StoreError if the folder cannot be written.
    """
    jobs = [lack.job for lack in todo]
    fatal, incomplete = _verify(jobs, session)
    if fatal:
        raise DataError(fatal[0])
    new = [suite for suite in _suites(jobs) if session.store.data(suite) is None]
    fingerprints = _check_images(jobs, session)
    _check_jobs(jobs, plan, session, troubles)
    plan.networks.clear()
    if todo:  # a finished matrix may lie in a folder that cannot be written
        check_writable(session.store.root)
    if new:
        with session.store.claims() as claims, claims.lock("data"):  # another run may have come first
            for suite in new:
                if not check_fingerprint(suite, fingerprints[suite.key], session.store):
                    in_part = tuple(map(_short, incomplete[suite.family]))
                    data = SuiteData(fingerprint=fingerprints[suite.key], in_part=in_part)
                    session.store.write_data(suite, data)


def dry_preflight(todo: Sequence[Lack], plan: Plan, session: Session, troubles: Troubles) -> list[str]:
    """Check what `preflight` does, and write nothing; returns all that is wrong with data.

    Raises the other errors of `preflight`.
    """
    jobs = [lack.job for lack in todo]
    fatal, _ = _verify(jobs, session)
    if todo and not fatal:
        _check_images(jobs, session)
        _check_jobs(jobs, plan, session, troubles)
        check_looks_writable(session.store.root)
    return fatal


def _check_images(jobs: Sequence[Job], session: Session) -> dict[str, str]:
    """Return the fingerprint of each suite's images. Raises DataError if the results folder is of others."""
    root, store = session.request.data_root, session.store
    return {suite.key: check_same_images(suite, root, store) for suite in _suites(jobs)}


def _check_jobs(jobs: Sequence[Job], plan: Plan, session: Session, troubles: Troubles) -> None:
    check_initial_weights(jobs)
    check_batch_sizes(jobs, session.request.data_root)
    check_models(jobs, plan, session, troubles)


def check_models(jobs: Sequence[Job], plan: Plan, session: Session, troubles: Troubles) -> None:
    """Raise UsageError if a model does not accept a suite's images; one that crashes costs its own jobs."""
    by_model: dict[tuple[str, str, int], list[Job]] = {}
    for job in jobs:
        by_model.setdefault((job.suite.name, job.cell.model, job.recipe.image_size), []).append(job)
    for (_, model, size), members in by_model.items():
        suite = members[0].suite
        with troubles.catch(*members, ends=(FlatqatError,)):
            check = partial(_check_model, suite, model, plan, session.request.data_root, size)
            again(check, f"first images of {suite.name} for {model}", session.progress.say)


def check_initial_weights(jobs: Iterable[Job]) -> None:
    """Raise UsageError where untrained weights would be scored; the user's own code may bring weights."""
    for job in jobs:
        first = job
        while first.parent:
            first = first.parent
        steps = first.recipe.pretrain_steps + job.recipe.steps
        if not (first.weights or steps or code_files(job.cell.model)):
            raise UsageError(
                f"model {job.cell.model} on {job.suite.name}: expected weights to start from, since the "
                f"recipe {job.cell.recipe!r} trains nothing, got none; pass --weights FILE or --pretrained"
            )


def check_batch_sizes(jobs: Iterable[Job], root: Path | None) -> None:
    """Raise UsageError if a training batch lacks an image of each group of its images."""
    trained = [job for job in jobs if not job.skip and job.recipe.pretrain_steps + job.recipe.steps]
    for job in {(job.suite.key, job.recipe.batch_size): job for job in trained}.values():
        groups, size = job.suite.train(root).groups, job.recipe.batch_size
        if groups is not None and size < (least := len(groups.unique())):
            expected = f"expected at least {least} for {job.suite.name}, one image of each source domain"
            raise UsageError(f"recipe.batch_size: {expected}, got {size}; choose a larger one")


def _verify(jobs: Sequence[Job], session: Session) -> tuple[list[str], dict[str, list[str]]]:
    """Return what is wrong with data, which stops a run, and what is incomplete, by family of suites.

    The latter is said, and which recipe another one replaces.
    """
    fatal: list[str] = []
    incomplete: dict[str, list[str]] = {}
    for name, suite in {suite.family: suite for suite in _suites(jobs)}.items():
        findings = suite.findings(session.request.data_root)
        fatal += [f"suite {name}: {found.what}; {found.fix}" for found in findings if found.is_fatal]
        incomplete[name] = [finding.what for finding in findings if finding.partial]
        for text in incomplete[name]:
            session.progress.say(f"{name}: {text}")
        asked = session.request.recipe or EVAL
        if asked != EVAL and suite.lacks(session.request.data_root):
            session.progress.say(f"{name}: recipe {EVAL} in place of {asked}, since nothing can be trained")
    return fatal, incomplete


def _suites(jobs: Iterable[Job]) -> list[Suite]:
    return list({job.suite.key: job.suite for job in jobs}.values())


def _short(text: str) -> str:
    """Return a finding without examples and without paths of this machine, for records."""
    text = text.partition(" (")[0]
    return text.partition(": expected")[0] if "/" in text else text


@torch.no_grad()
def _check_model(suite: Suite, model: str, plan: Plan, root: Path | None, size: int) -> None:
    """Run two images, clean and shifted, or one where each pixel is classified: size misfits show now."""
    net = plan.networks.get(suite, model).model.eval()
    frame = net.eval_transform.scaled(size) if size else net.eval_transform
    hint = "leave out recipe.image_size, or " if size else ""
    for built in (suite.val(root), suite.shifts[-1].build(root)):
        if size and not built.through_transform:
            problem = f"expected none, since {suite.name} has images that come at one size, got {size}"
            raise UsageError(f"recipe.image_size: {problem}; leave it out")
        data = built.transformed(eval_crop(frame))
        images, labels = data.batch(torch.arange(1 if data.per_pixel else min(2, len(data))))
        expected = (len(images), suite.classes, *labels.shape[1:])
        try:
            output = net.predict(images)
        except UsageError as error:
            raise UsageError(f"model {model}: {error}") from error
        except Exception as error:  # of the network's own code
            if out_of_memory(error):
                raise
            cause = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            places = filter(None, (place(error, file) for file in code_files(model)))
            cause += "".join(f" ({where})" for where in places)
            raise UsageError(
                f"model {model}: expected it to accept images of {suite.name}, "
                f"{tuple(images.shape[1:])}, got: {cause}; {hint}choose another model or suite"
            ) from error
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
        if got != expected:
            raise UsageError(f"model {model}: expected logits {expected}, got {got}; choose another model")
        if output.isnan().any():
            raise UsageError(f"model {model}: expected numbers as logits, got NaN; choose other weights")
