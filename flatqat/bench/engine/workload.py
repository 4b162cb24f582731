"""How much of a run is left, in forward passes of one image; what is stored counts as done."""

from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.flatness.estimators import DEFAULT, GRADIENT, work
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.of_method import passes
from flatqat.bench.plan.request import Request, lacking_spaces
from flatqat.spec import Space
from flatqat.suite import Shift


def is_to_train(job: Job, session: Session) -> bool:
    """Whether a job's weights are not stored, or not to be used."""
    return session.request.rerun or not session.store.has_weights(job.cell)


def spaces_to_measure(lack: Lack, session: Session) -> list[Space]:
    """Return the spaces that a job lacks, without those that an interrupted run has stored."""
    request, spaces = session.request, list(lack.spaces)
    if not spaces or request.rerun:
        return spaces
    return lacking_spaces(lack.job.cell, session.store.flatness(lack.job.cell), request)


def shifts_to_score(lack: Lack, session: Session) -> list[Shift]:
    """Return the shifts that a job is still to be scored on."""
    if not lack.scores:
        return []
    job, request = lack.job, session.request
    return [s for s in job.suite.scored if request.rerun or not session.store.has_scores(job.cell, s.name)]


def images_of(shift: Shift, request: Request) -> int:
    """Return the number of images of a shift that are scored; the data must be there."""
    return len(shift.build(request.data_root).sample(request.limit))


def passes_of(job: Job) -> int:
    """Return how often a network sees the images that it is scored on: twice if it is adapted to them."""
    return 2 if job.cell.adapt else 1


def training_work(lack: Lack, session: Session) -> float:
    """Return the work of training a job."""
    job = lack.job
    if not is_to_train(job, session):
        return 0.0
    steps = job.method.steps(job.recipe) * passes(job.cell.method, job.config) * job.recipe.batch_size
    return float(GRADIENT * (steps + job.method.images_to_begin(job.recipe, job.config)))


def flatness_work(lack: Lack, session: Session) -> float:
    """Return the work of measuring the flatness of a job."""
    recipe = lack.job.recipe
    spaces = spaces_to_measure(lack, session)
    return float(len(spaces) * work(DEFAULT, recipe.flatness_draws) * recipe.flatness_images)


def scoring_work(lack: Lack, session: Session) -> float:
    """Return the work of scoring a job; the data must be there."""
    shifts = shifts_to_score(lack, session)
    return float(sum(images_of(shift, session.request) for shift in shifts) * passes_of(lack.job))
