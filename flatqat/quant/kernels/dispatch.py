"""The operations as operators of torch: one call each on every device, whatever computes it there.

Fused kernels serve where a device has them, `blocks` on a CPU without a compiler, and the formulas elsewhere.
While `torch.compile` traces a model, or functorch maps over a batch, the formulas themselves are called.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flatqat.quant.kernels import blocks, formulas
from flatqat.quant.kernels.formulas import Gradients, Tangents
from flatqat.quant.kernels.fused import fused_kernels
from flatqat.quant.kernels.layout import dense, layout_of
from flatqat.quant.kernels.rule import Rule

GRID = "Tensor scale, Tensor? offset, float[] rule"
SCHEMAS = {
    "levels": f"levels(Tensor v, {GRID}) -> Tensor",
    "inside": f"inside(Tensor v, {GRID}) -> Tensor",
    "pull": f"pull(Tensor grad, Tensor v, {GRID}, bool on_v) -> (Tensor, Tensor, Tensor)",
    "attract_": (
        "attract_(Tensor(a!) grad, Tensor(b!) anchor, Tensor v, Tensor level, "
        f"{GRID}, float beta, float strength) -> ()"
    ),
    "push": f"push(Tensor? on_v, Tensor? on_scale, Tensor? on_offset, Tensor v, {GRID}) -> Tensor",
}
_LIBRARY = torch.library.Library("flatqat", "DEF")
Numbers = Sequence[float]


def levels(v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule) -> Tensor:
    """Return v̂; see `formulas`."""
    if _traced():
        return formulas.levels(v, scale, offset, rule)
    return torch.ops.flatqat.levels(v, scale, offset, rule)  # type: ignore[no-any-return]


def inside(v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule) -> Tensor:
    """Return whether each value is within the range of the grid."""
    if _traced():
        return formulas.inside(v, scale, offset, rule)
    return torch.ops.flatqat.inside(v, scale, offset, rule)  # type: ignore[no-any-return]


def pull(
    grad: Tensor, v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule, *, on_v: bool = True
) -> Gradients:
    """Return the gradients of `v` (anything if `on_v` is false), of `scale` and of the offset."""
    if _traced():
        return formulas.pull(grad, v, scale, offset, rule)
    return torch.ops.flatqat.pull(grad, v, scale, offset, rule, on_v)  # type: ignore[no-any-return]


def push(tangents: Tangents, v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule) -> Tensor:
    """Return the derivative of v̂ along tangents of `v`, `scale` and offset; None stands for zero."""
    if _traced():
        return formulas.push(tangents, v, scale, offset, rule)
    return torch.ops.flatqat.push(*tangents, v, scale, offset, rule)  # type: ignore[no-any-return]


def attract_(
    grad: Tensor,
    anchor: Tensor,
    v: Tensor,
    level: Tensor,
    scale: Tensor,
    offset: Tensor | None,
    rule: Rule,
    beta: float,
    strength: float,
) -> None:
    """Move `anchor` by a fraction `beta` to `level`, and add its pull from there to `grad`, in place."""
    torch.ops.flatqat.attract_(grad, anchor, v, level, scale, offset, rule, beta, strength)


def in_functorch() -> bool:
    """Return whether a transform of functorch is active, where a tensor may stand for a batch."""
    compiled = torch.compiler.is_compiling()  # which has transforms of its own
    return not compiled and torch._C._functorch.peek_interpreter_stack() is not None


def _traced() -> bool:
    """Return whether tensors stand for others, of a graph that is compiled or of a batch."""
    return torch.compiler.is_compiling() or in_functorch()


class _Kernels:
    """The operators on one kind of device. The dispatcher of torch chooses it, by the key of a tensor."""

    def __init__(self, device: str, others: Any) -> None:
        self.device, self.others = device, others

    def levels(self, v: Tensor, scale: Tensor, offset: Tensor | None, numbers: Numbers) -> Tensor:
        serving, grid = self._serving(v, scale, offset, numbers)
        return serving.levels(*grid)  # type: ignore[no-any-return]

    def inside(self, v: Tensor, scale: Tensor, offset: Tensor | None, numbers: Numbers) -> Tensor:
        serving, grid = self._serving(v, scale, offset, numbers)
        return serving.inside(*grid)  # type: ignore[no-any-return]

    def pull(
        self, grad: Tensor, v: Tensor, scale: Tensor, offset: Tensor | None, numbers: Numbers, on_v: bool
    ) -> Gradients:
        serving, grid = self._serving(v, scale, offset, numbers)
        return serving.pull(grad, *grid, on_v=on_v)  # type: ignore[no-any-return]

    def push(
        self,
        on_v: Tensor | None,
        on_scale: Tensor | None,
        on_offset: Tensor | None,
        v: Tensor,
        scale: Tensor,
        offset: Tensor | None,
        numbers: Numbers,
    ) -> Tensor:
        serving, grid = self._serving(v, scale, offset, numbers)
        return serving.push((on_v, on_scale, on_offset), *grid)  # type: ignore[no-any-return]

    def attract_(
        self,
        grad: Tensor,
        anchor: Tensor,
        v: Tensor,
        level: Tensor,
        scale: Tensor,
        offset: Tensor | None,
        numbers: Numbers,
        beta: float,
        strength: float,
    ) -> None:
        serving, grid = self._serving(v, scale, offset, numbers)
        strides = grid[0].stride()  # of a copy, maybe
        if not all(t.dtype == torch.float32 and t.stride() == strides for t in (grad, anchor, v, level)):
            serving, grid = formulas, grid[:4]
        serving.attract_(grad, anchor, grid[0], level, *grid[1:], beta, strength)

    def _serving(
        self, v: Tensor, scale: Tensor, offset: Tensor | None, numbers: Numbers
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the module that takes these tensors, and its arguments."""
        v, rule = dense(v), Rule(*numbers)
        layout = layout_of(v, scale, offset)
        if layout and (fused := fused_kernels(self.device)):
            return fused, (v, scale, offset, rule, layout)
        return self.others, (v, scale, offset, rule)


def _register() -> None:
    keys = {
        "CPU": _Kernels("cpu", blocks),
        "CUDA": _Kernels("cuda", formulas),
        "CompositeExplicitAutograd": _Kernels("", formulas),
    }
    for name, schema in SCHEMAS.items():
        _LIBRARY.define(schema)
        for key, kernels in keys.items():
            _LIBRARY.impl(name, getattr(kernels, name), key)


_register()
