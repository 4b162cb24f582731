"""Report what a quantized model computes with: codes in use, clipped values, layers in floating point."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

from flatqat.quant.apply import in_inference, quantizable, quantizers
from flatqat.quant.base import Quantizer


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorAudit:
    """What the grid of one layer's weight or input is used for.

    Attributes:
        layer: Name of the layer.
        tensor: `weight`, `input`, or `parameter` for one that belongs to no quantizable layer.
        bits: Bit width; None in floating point.
        codes: Number of distinct codes in use; for per-channel weights, the most in any channel.
        levels: Number of levels of the grid.
        clipped: Percentage of values outside the range of the grid.
        note: Why the tensor is in floating point.
    """

    layer: str
    tensor: str
    bits: int | None
    codes: int = 0
    levels: int = 0
    clipped: float = nan
    note: str = ""


@torch.no_grad()
def audit(model: nn.Module, images: Tensor) -> list[TensorAudit]:
    """Run the model on `images`, normalized as it expects, and return the audit of each weight and input.

    Functional calls (attention products, residual additions) have no quantizer. A note marks layers whose
    quantizer never ran because the model uses their weight directly. Heads used only in training are omitted.
    """
    audits: dict[tuple[str, str], TensorAudit] = {}
    with ExitStack() as stack:
        for name, quantizer in quantizers(model):
            stack.enter_context(quantizer.register_forward_hook(_recorder(name, audits)))
            audits[name, quantizer.role] = _floating(name, quantizer.role, "quantizer never ran")
        stack.callback(model.train, model.training)
        model.eval()(images)
    layers, running = quantizable(model), in_inference(model)
    pairs = [(name, tensor) for name in layers for tensor in ("weight", "input")]
    rows = [audits.get(pair) or _floating(*pair, "floating point") for pair in pairs]
    layered = {id(p) for layer in layers.values() for p in layer.parameters()}
    for name, p in model.named_parameters():
        if p.ndim > 1 and id(p) not in layered and name.rpartition(".")[0] in running:
            rows.append(_floating(name, "parameter", "floating point: no layer's weight"))
    return rows


def _floating(layer: str, tensor: str, note: str) -> TensorAudit:
    return TensorAudit(layer=layer, tensor=tensor, bits=None, note=note)


def summary(rows: Sequence[TensorAudit]) -> dict[str, Any]:
    """Return how many tensors are quantized, which are not, and the most codes in use at each bit width."""
    widths = [row.bits for row in rows if row.bits is not None]
    floating = [f"{row.layer} {row.tensor}" for row in rows if row.bits is None]
    codes = {str(bits): max(row.codes for row in rows if row.bits == bits) for bits in sorted(set(widths))}
    return {"quantized": len(widths), "floating": floating, "most_codes": codes}


def _recorder(name: str, audits: dict[tuple[str, str], TensorAudit]) -> Callable[[Any, Any, Tensor], None]:
    def hook(q: Quantizer, args: tuple[Tensor], _: Tensor) -> None:
        codes = q.codes(args[0])
        ordered = (codes.flatten(1) if q.scale.ndim else codes.flatten()[None]).sort(dim=1).values
        distinct = 1 + int((ordered[:, 1:] != ordered[:, :-1]).sum(1).max())
        levels, clipped = q.qmax - q.qmin + 1, 100 * (~q.in_range(args[0])).float().mean().item()
        audits[name, q.role] = TensorAudit(
            layer=name, tensor=q.role, bits=q.bits, codes=distinct, levels=levels, clipped=clipped
        )

    return hook
