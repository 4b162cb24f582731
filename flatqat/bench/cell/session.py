"""One run of the benchmark: the request, where results go, the device, and what is still to do."""

from dataclasses import dataclass, field

import torch

from flatqat.bench.cell.environment import choose_device, prepare
from flatqat.bench.cell.halving import Sizes
from flatqat.bench.plan.jobs import Job, Plan
from flatqat.bench.plan.request import Request, lacking_spaces
from flatqat.bench.records.store import Store
from flatqat.console.progress import Progress
from flatqat.spec import Cost, Flatness, Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What a job lacks: scores, flatness in some spaces, or only the weights that other jobs start from."""

    job: Job
    scores: bool = False
    spaces: tuple[Space, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What every step of a run needs: the request, the results folder, the device, the progress.

    Attributes:
        sizes: How many images at a time memory has allowed.
        costs: What networks cost that were counted, by `network_of`.
    """

    request: Request
    store: Store
    device: torch.device
    progress: Progress
    sizes: Sizes = field(default_factory=Sizes, compare=False)
    costs: dict[tuple[object, ...], Cost] = field(default_factory=dict, compare=False)

    @classmethod
    def open(cls, request: Request, progress: Progress) -> "Session":
        """Choose the device and set it up. Raises UsageError if the machine lacks a device or the cores.

        What starts workers on a Ray cluster computes nothing itself, and may lack the device that they have.
        """
        places = [choose_device(name, "--devices") for name in request.devices]
        device = places[0] if places else choose_device("cpu" if request.ray else request.device)
        prepare(device, request.threads)
        return cls(request=request, store=Store(request.results), device=device, progress=progress)

    def lacking(self, plan: Plan) -> list[Lack]:
        """Return what is still to do, in the plan's order: every parent before the jobs that start from it.

        Each record is read once. A parent is trained only if neither its weights nor the job's are stored.
        """
        jobs = {job.cell.id: job for job in plan.jobs}
        lacks = {job.cell.id: lack for job in plan.scored() if (lack := self._lack_of(job))}
        for job in reversed(plan.jobs):
            if job.cell.id in lacks and job.parent and self._needs(job.parent, job):
                parent_id = job.parent.cell.id
                lacks.setdefault(parent_id, Lack(job=jobs[parent_id]))
        return [lacks[cell_id] for cell_id in jobs if cell_id in lacks]

    def _lack_of(self, job: Job) -> Lack | None:
        record = None if self.request.rerun else self.store.finished(job.cell)
        spaces = lacking_spaces(job.cell, record.flatness if record else Flatness(), self.request)
        if record and not spaces:
            return None
        return Lack(job=job, scores=record is None, spaces=tuple(spaces))

    def _needs(self, parent: Job, job: Job) -> bool:
        return self.request.rerun or not any(map(self.store.has_weights, (job.cell, parent.cell)))
