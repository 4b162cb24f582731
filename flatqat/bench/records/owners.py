"""Which process created a file, and whether it left it behind.

An owner is a text, `<machine> <process> <random>`: the content of the file. It touches the file now and then.
A temporary file, which is just being written, names its process, `<hash of the machine>-<process>`.
"""

import hashlib
import os
import platform
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path

LEFT_AFTER = 60.0  # seconds
BOOT = Path("/proc/sys/kernel/random/boot_id")


def new_owner() -> str:
    """Return a name for an owner in this process."""
    return f"{machine()} {os.getpid()} {secrets.token_hex(8)}"


def is_left(path: Path, now: float) -> bool:
    """Whether there is such a file, and its owner has ended or has not touched it for a minute.

    A time more than a minute ahead is that of no owner either: it would have been touched since.
    """
    with suppress(OSError):  # it was removed
        with suppress(ValueError):  # it is just being written
            where, pid, _ = path.read_text(encoding="utf-8").split(" ")
            if where == machine() and not _is_alive(int(pid)):
                return True
        return abs(now - path.stat().st_mtime) > LEFT_AFTER
    return False


def process_mark() -> str:
    """Return what names this process in the name of a file."""
    return f"{_short_machine()}-{os.getpid()}"


def has_ended(mark: str) -> bool:
    """Whether a mark is that of a process of this machine that has ended."""
    where, _, pid = mark.partition("-")
    return where == _short_machine() and pid.isdecimal() and not _is_alive(int(pid))


@cache
def machine() -> str:
    """Return an identifier of this machine, within which process ids are unique.

    Its name is not enough: many machines are called `localhost`.
    """
    boot = namespace = ""
    with suppress(OSError):  # not Linux
        boot = BOOT.read_text(encoding="utf-8").strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{platform.node()}{boot}{namespace}".replace(" ", "_")


@cache
def _short_machine() -> str:
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


def _is_alive(pid: int) -> bool:
    """Whether there is a process with this number; only POSIX lets one ask."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True
