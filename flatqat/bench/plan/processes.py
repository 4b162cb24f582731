"""Who does a run: how many processes, on which devices, on this machine or on a Ray cluster."""

import re
from dataclasses import dataclass

from flatqat.bench.plan.request import MOST_JOBS, parse_jobs
from flatqat.errors import UsageError

DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,4})?")
CLUSTER = re.compile(r"local|auto|(\[[0-9a-fA-F:.]{2,45}\]|[\w.-]{1,253}):[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """The options of `bench run` that say who does it; `Request` describes them."""

    jobs: int | None
    device: str
    devices: tuple[str, ...] = ()
    ray: str | None = None
    per_device: int = 1


def parse_processes(
    *, jobs: str, device: str, devices: tuple[str, ...] | None, per_device: int | None, ray: str | None
) -> Processes:
    """Return who does a run. Raises UsageError on values that cannot be, or not beside another."""
    if devices is not None:
        _refuse("--devices", {"--ray": ray, "--jobs": jobs != "auto", "--device": device != "auto"})
        places = _places(devices, per_device or 1)
        return Processes(jobs=len(places), device=device, devices=places)
    if ray is not None:
        if not CLUSTER.fullmatch(ray):
            raise UsageError(f"--ray: expected local, auto or HOST:PORT, got {ray!r}")
        if device.startswith("cuda:"):
            raise UsageError(
                f"--device: expected auto, cpu or cuda, since Ray chooses the GPU, got {device!r}"
            )
        return Processes(jobs=parse_jobs(jobs), device=device, ray=ray, per_device=per_device or 1)
    if per_device is not None:
        raise UsageError(
            "--per-device: expected --devices or --ray beside it, got neither; --jobs may be meant"
        )
    return Processes(jobs=parse_jobs(jobs), device=device)


def _refuse(option: str, others: dict[str, object]) -> None:
    given = [name for name, value in others.items() if value]
    if given:
        raise UsageError(f"{option}: expected no {given[0]} beside it, got both; leave one of them out")


def _places(devices: tuple[str, ...], per_device: int) -> tuple[str, ...]:
    """Return the device of each process, in turns."""
    for name in devices:
        if not DEVICE.fullmatch(name):
            raise UsageError(f"--devices: expected names such as cuda:0,cuda:1 or cpu, got {name[:40]!r}")
    if not 1 <= len(devices) * per_device <= MOST_JOBS:
        got = f"{len(devices)} devices with {per_device} on each"
        raise UsageError(f"--devices: expected 1 to {MOST_JOBS} processes in all, got {got}")
    return per_device * tuple("cuda:0" if name == "cuda" else name for name in devices)
