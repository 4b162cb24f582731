"""The kernels for a CPU, compiled once by the C++ compiler of the machine and kept in the user's cache.

Where there is no compiler `blocks` serves instead: the same numbers, slower. FLATQAT_COMPILER names a
compiler; empty, it turns compiled kernels off.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flatqat.quant.kernels import formulas
from flatqat.quant.kernels.formulas import Gradients
from flatqat.quant.kernels.layout import alike, laid_out_as
from flatqat.quant.kernels.rule import Grid, Layout, Rule

SOURCE = Path(__file__).with_name("kernels.cpp")
# Contraction and reassociation would change bits; neither error codes nor traps of arithmetic are looked at.
EXACT = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
ALWAYS = ("-O3", "-std=c++17", "-fPIC", "-shared", *EXACT)
ATTEMPTS: tuple[tuple[str, ...], ...] = (("-march=native", "-fopenmp"), ("-march=native",), ())
COMPILERS = ("c++", "g++", "clang++")
PATIENCE_S = 120
OPERATIONS = {"levels": 3, "inside": 3, "vjp": 6, "jvp": 6, "attract": 6}  # with the number of arguments
DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class KernelArguments(ctypes.Structure):
    """The arguments that all kernels have in common, laid out as in the source."""

    _fields_ = (
        *((name, ctypes.c_double) for name in Rule._fields),
        *((name, ctypes.c_int64) for name in (*Layout._fields, "threads")),
        *((name, ctypes.c_void_p) for name in ("scale", "offset")),
    )


def levels(grid: Grid) -> Tensor:
    """Return what `formulas.levels` does, to the bit."""
    out = torch.empty_like(grid.v)
    _call("levels", grid, grid.v, out)
    return out


def inside(grid: Grid) -> Tensor:
    """Return what `formulas.inside` does, to the bit."""
    out = torch.empty_like(grid.v, dtype=torch.bool)
    _call("inside", grid, grid.v, out)
    return out


def vjp(grid: Grid, grad: Tensor, on_v: bool = True) -> Gradients:
    """Return what `formulas.vjp` does, sums in another order; for `v`, nothing if it is not wanted."""
    v = grid.v
    given = torch.empty_like(v) if on_v else v.new_empty(0)
    on_scale, on_offset = torch.empty_like(grid.scale), torch.empty_like(grid.scale)
    grad = laid_out_as(grad, v)
    _call("vjp", grid, grad, v, given if on_v else None, on_scale, on_offset)
    return given, on_scale, on_offset


def jvp(grid: Grid, on_v: Tensor | None, on_scale: Tensor | None, on_offset: Tensor | None) -> Tensor:
    """Return what `formulas.jvp` does."""
    out = torch.empty_like(grid.v)
    on_v = None if on_v is None else laid_out_as(on_v, grid.v)
    on_scale, on_offset = (None if t is None else t.contiguous() for t in (on_scale, on_offset))
    _call("jvp", grid, on_v, on_scale, on_offset, grid.v, out)
    return out


def attract_(
    grid: Grid, grad: Tensor, anchor: Tensor, level: Tensor, beta: float, coefficient: float
) -> None:
    """Do what `formulas.attract_` does, in place."""
    if not alike(grid.v, grad, anchor, level):
        return formulas.attract_(grid, grad, anchor, level, beta, coefficient)
    numbers = torch.tensor([beta, coefficient], dtype=torch.float32, device="cpu")
    return _call("attract", grid, grid.v, level, anchor, grad, numbers)


def _call(operation: str, grid: Grid, *tensors: Tensor | None) -> None:
    v, scale, offset, rule, layout = grid
    assert layout is not None
    task = KernelArguments(*rule, *layout, torch.get_num_threads(), _address(scale), _address(offset))
    getattr(kernels(), f"{operation}_{DTYPES[v.dtype]}")(ctypes.byref(task), *map(_address, tensors))


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


@cache
def kernels() -> Any:
    """Return the compiled kernels; None if they cannot be compiled here."""
    named = os.environ.get("FLATQAT_COMPILER")
    found = filter(None, map(shutil.which, COMPILERS if named is None else [named]))
    for compiler, flags in product([*found][:1], ATTEMPTS):
        try:
            with _built(compiler, flags) as library:
                lib = ctypes.CDLL(str(library))
        except subprocess.TimeoutExpired:
            return None  # other flags would hang, too
        except (OSError, subprocess.SubprocessError):
            continue
        for operation, count in OPERATIONS.items():
            for dtype in DTYPES.values() if operation != "attract" else ["float32"]:
                function = getattr(lib, f"{operation}_{dtype}")
                function.argtypes, function.restype = [ctypes.c_void_p] * count, None
        return lib
    return None


@contextmanager
def _built(compiler: str, flags: Sequence[str]) -> Iterator[Path]:
    """Within, the shared library for this source, compiler and processor is there; it is compiled if need be.

    Where there is no cache to keep it in, it is gone afterwards: a library that is loaded needs no file.
    """
    command = [compiler, *ALWAYS, *flags]
    key = repr((command, SOURCE.read_text(), _processor()))
    name = f"kernels-{_digest(key.encode())}"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flatqat"
    kept = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = (file for file in folder.glob(f"{name}-*.so") if file.stem == f"{name}-{_digest_of(file)}")
        kept = next(whole, None)  # a file cut short may end the process
        work = "" if kept else tempfile.mkdtemp(dir=folder)
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        work = tempfile.mkdtemp(prefix="flatqat-")
        folder = Path(work)
    if kept:
        yield kept
        return
    made = Path(work) / "made.so"
    try:
        command += [str(SOURCE), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
        yield made.replace(folder / f"{name}-{_digest_of(made)}.so")  # at once, whoever else compiles it
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _digest_of(file: Path) -> str:
    return _digest(file.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _processor() -> str:
    """Return what tells one processor's instructions from another's: a cache may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
