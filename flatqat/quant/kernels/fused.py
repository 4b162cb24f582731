"""Which fused kernels a device has: those that agree with the formulas, or none."""

from functools import cache
from itertools import product
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from flatqat.quant.kernels import compiled, formulas
from flatqat.quant.kernels.layout import KERNEL_DTYPES, layout_of
from flatqat.quant.kernels.rule import Grid, Rule

RULES = (
    Rule(-2, 3),
    Rule(0, 3, factor=0.5, open_low=True, open_high=True, delta=1e-3),
    Rule(-3, 3, open_high=True, residual=False, divisor=3),
)


@cache
def fused_kernels(device: str) -> ModuleType | None:
    """Return the module of fused kernels for `cpu` or `cuda`; None if there is none that can be trusted here.

    Each is checked once, on values inside, on and outside the bounds: a compiler may not keep to IEEE 754.
    """
    if device == "cpu":
        module: ModuleType = compiled
        if compiled.kernels() is None:
            return None
    elif device != "cuda":
        return None
    else:
        try:
            from flatqat.quant.kernels import on_cuda as module
        except ImportError:  # torch for CUDA brings triton along, but not everywhere
            return None
    return module if _trusted(module, device) else None


def kernels_on(device: str) -> str:
    """Return what computes the rounding on `cpu` or `cuda`, for a record: `compiled`, `triton` or `torch`."""
    return {"cpu": "compiled", "cuda": "triton"}[device] if fused_kernels(device) else "torch"


def _trusted(module: ModuleType, device: str) -> bool:
    try:
        return agrees(module, device)
    except Exception:  # whatever a compiler that is missing, or too old for the card, has to say
        return False


def agrees(module: ModuleType, device: str) -> bool:
    """Return whether kernels give what the formulas give: values to the bit, sums to their rounding."""
    to: Any = {"device": device, "dtype": torch.float32}  # whatever the defaults are
    values = torch.linspace(-3, 3, 483, **to).view(3, 161)
    scale = torch.tensor([[0.25], [0.0], [-0.5]], **to)
    offset = torch.tensor([[0.0], [0.1], [-0.1]], **to)
    for rule, beta in product(RULES, (offset, None)):
        for dtype in KERNEL_DTYPES:
            v, grad = values.to(dtype), values.flip(0).to(dtype)
            grid = Grid(v, scale, beta, rule, layout_of(v, scale, beta))
            exact = [
                (module.levels(grid), formulas.levels(grid)),
                (module.inside(grid), formulas.inside(grid)),
            ]
            rounded = [*zip(module.vjp(grid, grad), formulas.vjp(grid, grad), strict=True)]
            rounded += [(module.jvp(grid, grad, scale, offset), formulas.jvp(grid, grad, scale, offset))]
            if dtype == torch.float32:
                changed = [(grad.clone(), v.clone()) for _ in range(2)]
                for m, (g, anchor) in zip((module, formulas), changed, strict=True):
                    m.attract_(grid, g, anchor, grad, 0.1, 0.2)
                rounded += zip(*changed, strict=True)
            if not (all(torch.equal(*pair) for pair in exact) and all(_close(*pair) for pair in rounded)):
                return False
    return True


def _close(found: Tensor, wanted: Tensor) -> bool:
    tolerance = 2**-7 if wanted.dtype == torch.bfloat16 else 1e-5  # one rounding; sums in another order
    return torch.allclose(found, wanted, rtol=tolerance, atol=tolerance)
