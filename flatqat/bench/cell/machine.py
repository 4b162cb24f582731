"""What this machine lets a process use, and what a process has used."""

import os
from contextlib import suppress
from pathlib import Path

from flatqat.cgroups import control_groups

STATUS = Path("/proc/self/status")


def cores() -> int:
    """Return the number of cores that this process may keep busy, quotas of control groups included."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in control_groups("cpu"):
        with suppress(OSError, ValueError):  # no quota, or "max"
            quota, period = (group / "cpu.max").read_text().split()
            count = min(count, max(1, int(quota) // int(period)))
    return count


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had so far, or 0 where that is not known."""
    with suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0
