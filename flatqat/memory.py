"""How much memory is left to use, on the machine or on a device, and which errors say that it ran out."""

import sys
from pathlib import Path
from typing import Any

UNKNOWN_MEMORY = 2**32  # assumed where a system reports nothing
SAYINGS = ("not enough memory", "out of memory", "STATUS_ALLOC_FAILED")
"""What a RuntimeError says, of torch's allocator on the CPU, of what quotes errors, of CUDA's libraries."""
MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def available_memory(device: Any = None) -> int:
    """Return the bytes that can still be used on a `torch.device`, or in main memory.

    On CUDA these are free on the card, or held by torch's allocator without being in use. In main memory they
    include caches that the system gives up, as free pages alone do not, and end at a container's limit.
    """
    if device is not None and device.type == "cuda":
        cuda = sys.modules["torch"].cuda
        held = cuda.memory_reserved(device) - cuda.memory_allocated(device)
        return int(cuda.mem_get_info(device)[0] + held)
    known = [size for size in (_of_machine(), _of_container()) if size is not None]
    return min(known, default=UNKNOWN_MEMORY)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine or the device lacks memory."""
    torch: Any = sys.modules.get("torch")
    kinds = (MemoryError, torch.OutOfMemoryError) if torch else (MemoryError,)
    return isinstance(error, kinds) or (
        isinstance(error, RuntimeError) and any(saying in str(error) for saying in SAYINGS)
    )


def lack_of_memory(error: BaseException) -> str:
    """Return what an error says that is `out_of_memory`, in one line."""
    first_line = str(error).partition("\n")[0]
    return f"out of memory: {first_line}".rstrip(": ")


def _of_machine() -> int | None:
    try:
        lines = (line.split() for line in MEMINFO.read_text().splitlines())
        return next(int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    except (OSError, StopIteration):  # not Linux
        return None


def _of_container() -> int | None:
    """Return what is left of the limit of the control group, with the file caches that it can give up."""
    try:
        most, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        counts = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return max(0, most - used + int(counts["inactive_file"]))
    except (OSError, ValueError, KeyError):  # no control group, or no limit: "max"
        return None
