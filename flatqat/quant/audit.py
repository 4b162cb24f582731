"""Report what a quantized model computes with: codes in use, clipped values, layers in floating point."""

from collections.abc import Callable, Sequence
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

    Functional calls (attention products, residual additions) have no quantizer at all. Layers whose quantizer
    never ran because the model uses their weight directly are marked. Heads used only in training are left
    out.
    """
    audits: dict[tuple[str, str], TensorAudit] = {}
    handles = []
    for name, quantizer in quantizers(model):
        handles.append(quantizer.register_forward_hook(_recorder(name, audits)))
    training = model.training
    model.eval()
    try:
        model(images)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    with_quantizer = {(name, quantizer.role) for name, quantizer in quantizers(model)}
    rows = []
    for name in quantizable(model):
        for tensor in ("weight", "input"):
            note = "quantizer never ran" if (name, tensor) in with_quantizer else "floating point"
            rows.append(
                audits.get((name, tensor)) or TensorAudit(layer=name, tensor=tensor, bits=None, note=note)
            )
    layered = {id(p) for layer in quantizable(model).values() for p in layer.parameters()}
    running = in_inference(model)
    others = [
        name
        for name, p in model.named_parameters()
        if p.ndim > 1 and id(p) not in layered and name.rpartition(".")[0] in running
    ]
    note = "floating point: no layer's weight"
    rows += [TensorAudit(layer=name, tensor="parameter", bits=None, note=note) for name in others]
    return rows


def summary(rows: Sequence[TensorAudit]) -> dict[str, Any]:
    """Return how many tensors are quantized, which are not, and the most codes in use at each bit width."""
    quantized = [row for row in rows if row.bits is not None]
    widths = sorted({row.bits for row in quantized if row.bits is not None})
    return {
        "quantized": len(quantized),
        "floating": [f"{row.layer} {row.tensor}" for row in rows if row.bits is None],
        "most_codes": {str(bits): max(row.codes for row in quantized if row.bits == bits) for bits in widths},
    }


def _recorder(name: str, audits: dict[tuple[str, str], TensorAudit]) -> Callable[[Any, Any, Tensor], None]:
    def hook(quantizer: Quantizer, args: tuple[Tensor], _: Tensor) -> None:
        codes = quantizer.codes(args[0])
        rows = codes.flatten(1) if quantizer.scale.ndim else codes.flatten()[None]
        ordered = rows.sort(dim=1).values
        distinct = 1 + int((ordered[:, 1:] != ordered[:, :-1]).sum(1).max())
        audits[name, quantizer.role] = TensorAudit(
            layer=name,
            tensor=quantizer.role,
            bits=quantizer.bits,
            codes=distinct,
            levels=quantizer.qmax - quantizer.qmin + 1,
            clipped=100 * (~quantizer.in_range(args[0])).float().mean().item(),
        )

    return hook
