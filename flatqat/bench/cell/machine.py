"""What this machine lets a process use, and what a process has used."""

import os
from contextlib import suppress
from itertools import product
from pathlib import Path

from flatqat.cgroups import control_groups

STATUS = Path("/proc/self/status")
QUOTAS = ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")
"""The files of a control group of version 2 and of version 1 with a quota and its period."""


def cores() -> int:
    """Return the number of cores that this process may keep busy, quotas of control groups included."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group, names in product(control_groups("cpu"), QUOTAS):
        with suppress(OSError, ValueError):  # another version, or "max"
            quota, period = map(int, " ".join((group / name).read_text() for name in names).split())
            count = min(count, max(1, quota // period)) if quota > 0 else count  # -1 is not a quota
    return count


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had so far, or 0 where that is not known."""
    with suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0
