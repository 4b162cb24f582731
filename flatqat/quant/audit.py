"""What a quantized model really computes with: realised codes, saturation, layers left in floating point."""

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
    """One tensor of one layer.

    `codes` is the number of distinct codes that occur (for per-channel weights the most in any channel),
    `levels` how many the grid has, `saturated` the percentage of values outside its range, which are clipped.
    A tensor in floating point has no bits; `note` says why.
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
    """Run `images`, as the network expects them, and report on the weight and input of every layer.

    Functional calls (attention products, residual additions) carry no quantizer at all; layers whose
    quantizer never ran because the model calls their weight directly are marked. Heads that only training
    runs are left out.
    """
    found: dict[tuple[str, str], TensorAudit] = {}
    handles = []
    for name, quantizer in quantizers(model):
        handles.append(quantizer.register_forward_hook(_watch(name, found)))
    training = model.training
    model.eval()
    try:
        model(images)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    on = {(name, quantizer.role) for name, quantizer in quantizers(model)}
    rows = []
    for name in quantizable(model):
        for tensor in ("weight", "input"):
            note = "quantizer never ran" if (name, tensor) in on else "floating point"
            rows.append(
                found.get((name, tensor)) or TensorAudit(layer=name, tensor=tensor, bits=None, note=note)
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
    """How many tensors are quantized, which are not, and the most codes that occur at each width."""
    quantized = [row for row in rows if row.bits is not None]
    widths = sorted({row.bits for row in quantized if row.bits is not None})
    return {
        "quantized": len(quantized),
        "floating": [f"{row.layer} {row.tensor}" for row in rows if row.bits is None],
        "most_codes": {str(bits): max(row.codes for row in quantized if row.bits == bits) for bits in widths},
    }


def _watch(name: str, found: dict[tuple[str, str], TensorAudit]) -> Callable[[Any, Any, Tensor], None]:
    def hook(quantizer: Quantizer, args: tuple[Tensor], _: Tensor) -> None:
        codes = quantizer.codes(args[0])
        rows = codes.flatten(1) if quantizer.scale.ndim else codes.flatten()[None]
        ordered = rows.sort(dim=1).values
        distinct = 1 + int((ordered[:, 1:] != ordered[:, :-1]).sum(1).max())
        found[name, quantizer.role] = TensorAudit(
            layer=name,
            tensor=quantizer.role,
            bits=quantizer.bits,
            codes=distinct,
            levels=quantizer.qmax - quantizer.qmin + 1,
            clipped=100 * (~quantizer.in_range(args[0])).float().mean().item(),
        )

    return hook
