"""The environment that numbers are computed in: versions, device, threads."""

import ctypes
import os
import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat import __version__
from flatqat.errors import UsageError, listed
from flatqat.spec import Cuda, Environment

if TYPE_CHECKING:
    import torch

# Decoding and networks depend on the recorded packages, too.
RECORDED = ("torch", "numpy", "pillow", "simplejpeg", "torchvision", "timm", "onedl-mmsegmentation")
COMPUTING = ("torch", "numpy", "scipy", "pandas", "pillow", "safetensors", "scikit-learn", "pyarrow")
REQUIRED = (*COMPUTING, "matplotlib", "typer", "rich")
OPTIONAL = {
    "torchvision": "zoo",
    "timm": "zoo",
    "robustbench": "robust",
    "onedl-mmsegmentation": "seg",
    "simplejpeg": "fast",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "openvino": "openvino",
    "ray": "ray",
}

DRIVER = Path("/proc/driver/nvidia/version")
# Options of glibc's malloc.h and their values. Older versions refuse a high M_MMAP_THRESHOLD instead.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
KEEPING = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0, M_ARENA_MAX: 1}


def environment(device: "torch.device", threads: int) -> Environment:
    """Return versions and hardware, for a record."""
    import torch

    from flatqat.quant.kernels.fused import kernels_on

    is_cuda = device.type == "cuda"
    return Environment(
        device=torch.cuda.get_device_name(device) if is_cuda else f"cpu ({platform.machine()})",
        threads=threads,
        flatqat=__version__,
        python=platform.python_version(),
        packages={package: installed(package) for package in RECORDED},
        kernels=kernels_on(device.type),
        cuda=_cuda() if is_cuda else None,
    )


def _cuda() -> Cuda:
    import torch

    from flatqat.bench.cell.determinism import flags

    driver = ""
    with suppress(OSError):
        found = re.search(r"Kernel Module.*?  ([0-9.]+)  ", DRIVER.read_text())
        driver = found[1] if found else ""
    cudnn = torch.backends.cudnn.version()
    return Cuda(version=torch.version.cuda or "", cudnn=str(cudnn or ""), driver=driver, flags=flags())


def installed(package: str) -> str | None:
    """Return the version of a package, or None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def choose_device(name: str, option: str = "--device") -> "torch.device":
    """Return the device named `auto`, `cpu`, `cuda` or `cuda:1`. Raises UsageError if it is not available."""
    import torch

    if name in ("auto", "cpu"):
        return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu")
    match = re.fullmatch("cuda(:([0-9]+))?", name)
    if match is None:
        raise UsageError(f"{option}: expected auto, cpu, cuda or cuda:INDEX, got {name!r}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[2] or 0) >= count:
        there = listed(["cpu", *(f"cuda:{index}" for index in range(count))])
        raise UsageError(f"{option} {name}: this machine has no such device; expected one of: {there}")
    return torch.device(name)


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next request (mallopt(3)); other C libraries stay as they are.

    By default glibc returns large blocks to the system. Requesting them again costs a page fault for every
    4 kB, which takes longer than most operations: scoring takes 1.4 times as long, and corruptions more.
    All threads share one heap, since glibc does not let the heaps of others keep large blocks.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return
    for option, value in KEEPING.items():
        mallopt(option, value)


def prepare(device: "torch.device", threads: int) -> None:
    """Set threads, the allocator and, on CUDA, the current device and arithmetic that repeats.

    Raises UsageError.
    """
    import torch

    keep_freed_memory()
    cores = os.cpu_count() or 1
    if threads > cores:
        raise UsageError(f"--threads: expected at most {cores}, the cores of this machine, got {threads}")
    torch.set_num_threads(threads)
    if device.type == "cuda":
        from flatqat.bench.cell.determinism import repeat_on_cuda

        if device.index is not None:  # what names no GPU is on the current one, kernels and plugins included
            torch.cuda.set_device(device)
        repeat_on_cuda()
