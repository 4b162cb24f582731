"""The operations as operators of torch: one call each on every device, whatever computes it there.

Fused kernels serve where a device has them, `blocks` on a CPU without a compiler, and the formulas elsewhere.
While `torch.compile` traces a model, or functorch maps over a batch, the formulas themselves are called.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from flatqat.quant.kernels import blocks, formulas
from flatqat.quant.kernels.formulas import Gradients
from flatqat.quant.kernels.fused import fused_kernels
from flatqat.quant.kernels.layout import dense, layout_of
from flatqat.quant.kernels.rule import Grid, Rule

OF_GRID = "Tensor v, Tensor scale, Tensor? offset, float[] rule"
SCHEMAS = {
    "levels": f"({OF_GRID}) -> Tensor",
    "inside": f"({OF_GRID}) -> Tensor",
    "vjp": f"({OF_GRID}, Tensor grad, bool on_v) -> (Tensor, Tensor, Tensor)",
    "jvp": f"({OF_GRID}, Tensor? on_v, Tensor? on_scale, Tensor? on_offset) -> Tensor",
    "attract_": (
        f"({OF_GRID}, Tensor(a!) grad, Tensor(b!) anchor, Tensor level, float beta, float coefficient) -> ()"
    ),
}
_OPERATORS = torch.library.Library("flatqat", "DEF")


def levels(grid: Grid) -> Tensor:
    """Return v̂; see `formulas`."""
    found: Tensor = _call("levels", grid)
    return found


def inside(grid: Grid) -> Tensor:
    """Return whether each value is within the range of the grid."""
    found: Tensor = _call("inside", grid)
    return found


def vjp(grid: Grid, grad: Tensor, on_v: bool = True) -> Gradients:
    """Return the gradients of `v` (anything if `on_v` is false), of `scale` and of the offset."""
    found: Gradients = _call("vjp", grid, grad, on_v)
    return found


def jvp(grid: Grid, on_v: Tensor | None, on_scale: Tensor | None, on_offset: Tensor | None) -> Tensor:
    """Return the derivative of v̂ along tangents of `v`, `scale` and offset; None stands for zero."""
    found: Tensor = _call("jvp", grid, on_v, on_scale, on_offset)
    return found


def attract_(
    grid: Grid, grad: Tensor, anchor: Tensor, level: Tensor, beta: float, coefficient: float
) -> None:
    """Move `anchor` by a fraction `beta` to `level`, and add its pull from there to `grad`, in place."""
    _call("attract_", grid, grad, anchor, level, beta, coefficient)


def in_functorch() -> bool:
    """Return whether a transform of functorch is active, where a tensor may stand for a batch."""
    compiled = torch.compiler.is_compiling()  # which has transforms of its own
    return not compiled and torch._C._functorch.peek_interpreter_stack() is not None


def _call(name: str, grid: Grid, *more: Any) -> Any:
    if torch.compiler.is_compiling() or in_functorch():  # tensors stand for others, of a graph or of a batch
        return getattr(formulas, name)(grid, *more)
    return getattr(torch.ops.flatqat, name)(grid.v, grid.scale, grid.offset, grid.rule, *more)


def _operator(name: str, device: str, others: Any) -> Callable[..., Any]:
    """Return an operator on one kind of device, which torch chooses by the keys of the tensors."""

    def operator(
        v: Tensor, scale: Tensor, offset: Tensor | None, numbers: Sequence[float], *more: Any
    ) -> Any:
        v = dense(v)
        layout = layout_of(v, scale, offset)
        serving = (layout and fused_kernels(device)) or others
        return getattr(serving, name)(Grid(v, scale, offset, Rule(*numbers), layout), *more)

    return operator


def _register() -> None:
    served: dict[str, tuple[str, Any]] = {
        "CPU": ("cpu", blocks),
        "CUDA": ("cuda", formulas),
        "CompositeExplicitAutograd": ("", formulas),
    }
    for name, schema in SCHEMAS.items():
        _OPERATORS.define(name + schema)
        for key, (device, others) in served.items():
            _OPERATORS.impl(name, _operator(name, device, others), key)


_register()
