"""Report what a quantized model computes with: codes in use, clipped values, layers in floating point."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

from flatqat.errors import TrainingFailed
from flatqat.quant.apply import in_inference, quantizable, quantizers
from flatqat.quant.base import SMALLEST_SCALE, Quantizer
from flatqat.quant.fold import weight_quantizer
from flatqat.quant.observe import by_scale
from flatqat.quant.ops import full_precision


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorAudit:
    """What the grid of one layer's weight or input is used for.

    Attributes:
        layer: Name of the layer.
        tensor: `weight`, `input`, or `parameter` for one that belongs to no quantizable layer.
        bits: Bit width; None in floating point.
        codes: Number of distinct codes in use; for per-channel weights, the most in any channel.
        levels: Number of levels of the grid.
        clipped: Percentage of values outside the range of the grid; one that is the last level is inside.
        size: How many weights it has that the model uses; 0 for inputs and for weights listed before.
        note: Why the tensor is in floating point, or what is special about its grid.
        problem: Why no number of this model means anything; empty if there is no such reason.
    """

    layer: str
    tensor: str
    bits: int | None
    codes: int = 0
    levels: int = 0
    clipped: float = nan
    size: int = 0
    note: str = ""
    problem: str = ""


@torch.no_grad()
def audit(model: nn.Module, images: Tensor) -> list[TensorAudit]:
    """Run the model on `images`, normalized as it expects, and return the audit of each weight and input.

    Functional calls (attention products, residual additions) have no quantizer. A note marks layers whose
    quantizer never ran: the model does not use the layer, or uses its weight directly. Heads used only in
    training are omitted.
    """
    audits: dict[int, TensorAudit] = {}
    with ExitStack() as stack:
        for name, quantizer in quantizers(model):
            stack.enter_context(quantizer.register_forward_hook(_recorder(name, audits)))
            audits[id(quantizer)] = _floating(name, quantizer.role, "quantizer never ran")
        stack.callback(model.train, model.training)
        model.eval()(images)
    rows = []
    layers: dict[str, Any] = quantizable(model)
    for name, layer in layers.items():
        quantizers_of = {"weight": weight_quantizer(layer), "input": getattr(layer, "input_quantizer", None)}
        for tensor, own in quantizers_of.items():
            row = audits.get(id(own)) or _floating(name, tensor, "floating point")
            if own is None and tensor == "weight":
                row = replace(row, size=layer.weight.numel())
            elif row.layer != name:
                row = replace(row, layer=name, size=0, note=f"shared with {row.layer}")
            rows.append(row)
    return rows + _without_layer(model)


def summary(rows: Sequence[TensorAudit]) -> dict[str, Any]:
    """Return how many tensors are quantized, which are not, and the most codes in use at each bit width.

    `floating_weights` is the percentage of the model's weights that are in floating point.
    """
    widths = [row.bits for row in rows if row.bits is not None]
    floating = [f"{row.layer} {row.tensor}" for row in rows if row.bits is None]
    codes = {str(bits): max(row.codes for row in rows if row.bits == bits) for bits in sorted(set(widths))}
    total, kept = sum(row.size for row in rows), sum(row.size for row in rows if row.bits is None)
    return {
        "quantized": len(widths),
        "floating": floating,
        "floating_weights": round(100 * kept / max(1, total), 2),
        "most_codes": codes,
    }


def checked(rows: list[TensorAudit]) -> list[TensorAudit]:
    """Return `rows`. Raises TrainingFailed, with the layers' names, where one of them has a problem."""
    if problems := [f"{row.tensor} of {row.layer}: {row.problem}" for row in rows if row.problem]:
        more = f" ({len(problems) - 1} more such tensors)" if len(problems) > 1 else ""
        fix = "try other ranges (--set METHOD.ranges=minmax) or more bits for the layer (--layer-bits)"
        raise TrainingFailed(f"{problems[0]}{more}; {fix}")
    return rows


def _without_layer(model: nn.Module) -> list[TensorAudit]:
    """Return the parameters with two or more axes that no quantizable layer computes with."""
    layers, running = quantizable(model), in_inference(model)
    known = {id(p) for layer in layers.values() for p in layer.parameters()}
    rows = []
    for name, module in running.items():
        if name in layers or name.partition(".parametrizations.")[0] in layers:
            continue
        for own, p in module.named_parameters(recurse=False):
            if p.ndim > 1:
                note = f"floating point: {type(module).__name__} has no quantizer"
                size = 0 if id(p) in known else p.numel()
                rows.append(replace(_floating(f"{name}.{own}".strip("."), "parameter", note), size=size))
                known.add(id(p))
    return rows


def _floating(layer: str, tensor: str, note: str) -> TensorAudit:
    return TensorAudit(layer=layer, tensor=tensor, bits=None, note=note)


def _recorder(name: str, audits: dict[int, TensorAudit]) -> Callable[[Any, Any, Tensor], None]:
    def hook(q: Quantizer, args: tuple[Tensor], _: Tensor) -> None:
        v, scale_shape = args[0], tuple(q.scale.shape)
        codes = q.codes(v)
        ordered = by_scale(codes, scale_shape).sort(dim=1).values
        distinct = 1 + int((ordered[:, 1:] != ordered[:, :-1]).sum(1).max())
        outside = ~q.in_range(v) & (q.dequantize(codes) != q.normalize(full_precision(v)))
        values, note, problem = by_scale(v, scale_shape), "", ""
        constant = bool((values.amax(1) - values.amin(1) <= SMALLEST_SCALE).all())
        if not q.calibrated:
            problem = "expected a grid from calibration, got none: calibration never reached this tensor"
        elif distinct == 1 and constant:
            note = "constant: one code is enough"
        elif distinct == 1 and q.bits > 2:
            problem = f"expected up to {2**q.bits} codes, got a single one for values that differ"
        audits[id(q)] = TensorAudit(
            layer=name,
            tensor=q.role,
            bits=q.bits,
            codes=distinct,
            levels=q.qmax - q.qmin + 1,
            clipped=100 * outside.float().mean().item(),
            size=v.numel() if q.role == "weight" else 0,
            note=note,
            problem=problem,
        )

    return hook
