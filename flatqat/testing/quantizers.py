"""What every quantizer has to keep."""

from collections.abc import Iterator

import torch
from torch import Tensor

from flatqat.quant._base import Quantizer, Role
from flatqat.quant._observe import Observer


def quantizer_is_idempotent(quantizer: type[Quantizer]) -> None:
    """Quantizing twice is quantizing once."""
    for q, v in _calibrated(quantizer):
        assert torch.equal(q(q(v)), q(v)), f"expected q(q(v)) == q(v), got another tensor for {q}"


def quantizer_is_monotone(quantizer: type[Quantizer]) -> None:
    """A larger value never gets a smaller level."""
    for q, v in _calibrated(quantizer):
        if q.scale.ndim == 0:
            levels = q(v.flatten().sort().values)
            assert (levels.diff() >= 0).all(), f"expected levels that rise, got some that fall for {q}"


def quantizer_has_few_levels(quantizer: type[Quantizer]) -> None:
    """At most 2^bits levels a scale."""
    for q, v in _calibrated(quantizer):
        for row in q(v).flatten(1) if q.scale.ndim else [q(v)]:
            count = len(row.unique())
            assert count <= 2**q.bits, f"expected at most {2**q.bits} levels, got {count} for {q}"


def quantizer_equals_real_quantization(quantizer: type[Quantizer]) -> None:
    """Fake quantization equals dequantize(codes(v)), to the bit."""
    for q, v in _calibrated(quantizer):
        assert torch.equal(q(v), q.dequantize(q.codes(v))), (
            f"expected equal tensors, got a difference for {q}"
        )


def quantizer_passes_gradients(quantizer: type[Quantizer]) -> None:
    """The gradient of the input is finite, and not zero within the range."""
    for q, v in _calibrated(quantizer):
        leaf = v.clone().requires_grad_()
        (grad,) = torch.autograd.grad(q(leaf).sum(), leaf)
        assert grad.isfinite().all(), f"expected finite gradients, got others for {q}"
        assert (grad[q.inside(v)] != 0).all(), f"expected gradients within the range, got zeros for {q}"


def quantizer_state_is_complete(quantizer: type[Quantizer]) -> None:
    """A state dict carries the whole grid."""
    for q, v in _calibrated(quantizer):
        fresh = quantizer(bits=q.bits, role=q.role, scale_shape=tuple(q.scale.shape))
        fresh.load_state_dict(q.state_dict())
        assert torch.equal(q(v), fresh(v)), f"expected the same output after loading, got another for {q}"


CHECKS = [
    quantizer_is_idempotent,
    quantizer_is_monotone,
    quantizer_has_few_levels,
    quantizer_equals_real_quantization,
    quantizer_passes_gradients,
    quantizer_state_is_complete,
]


def _calibrated(quantizer: type[Quantizer]) -> Iterator[tuple[Quantizer, Tensor]]:
    """Quantizers of every width, for a weight per channel and per tensor, and for inputs of either sign."""
    generator = torch.Generator().manual_seed(0)
    for bits in (2, 3, 4, 8):
        weight, signed = torch.randn(6, 40, generator=generator), torch.randn(6, 40, generator=generator)
        cases: list[tuple[Role, tuple[int, ...], Tensor]] = [
            ("weight", (6, 1), weight),
            ("weight", (), weight),
            ("input", (), signed),
            ("input", (), signed.relu()),
        ]
        for role, scale_shape, values in cases:
            q = quantizer(bits=bits, role=role, scale_shape=scale_shape)
            seen = Observer(scale_shape)
            seen.add(values)
            q.calibrate(seen)
            yield q.eval(), values
