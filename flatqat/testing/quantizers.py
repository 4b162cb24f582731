"""Checks that every quantizer has to pass."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import lru_cache, wraps
from itertools import product

import torch
from torch import Tensor

from flatqat.quant.base import PERCENTILE, Quantizer, RangeInit, Role
from flatqat.quant.observe import Observer
from flatqat.testing.pretended import pretended_device


def quantizer_is_idempotent(q: Quantizer, v: Tensor) -> None:
    """Levels are fixed points: q(q(v)) == q(v), after `normalize` if the quantizer has one."""
    assert torch.equal(q.project(q(v)), q(v)), f"expected levels to be fixed points, got others for {q}"


def quantizer_is_monotone(q: Quantizer, v: Tensor) -> None:
    """A larger value never gets a smaller level."""
    if q.scale.ndim == 0:
        levels = q(v.flatten().sort().values)
        assert (levels.diff() >= 0).all(), f"expected nondecreasing levels, got decreasing ones for {q}"


def quantizer_has_few_levels(q: Quantizer, v: Tensor) -> None:
    """There are at most 2^bits levels per scale."""
    for row in q(v).flatten(1) if q.scale.ndim else [q(v)]:
        count = len(row.unique())
        assert count <= 2**q.bits, f"expected at most {2**q.bits} levels, got {count} for {q}"


def quantizer_equals_real_quantization(q: Quantizer, v: Tensor) -> None:
    """Fake quantization equals dequantize(codes(v)) bit for bit, and codes are between qmin and qmax."""
    codes = q.codes(v)
    assert torch.equal(q(v), q.dequantize(codes)), f"expected equal tensors, got a difference for {q}"
    assert codes.dtype == torch.int32, f"expected int32 codes, got {codes.dtype} for {q}"
    assert torch.equal(codes.clamp(q.qmin, q.qmax), codes), f"expected codes within bounds for {q}"


def quantizer_takes_half_precision(q: Quantizer, v: Tensor) -> None:
    """Half-precision input is quantized in float32."""
    for low in (v.bfloat16(), v.half()):
        fake, real = q(low), q.dequantize(q.codes(low))
        assert fake.dtype == torch.float32, f"expected float32, got {fake.dtype} for {q}"
        assert torch.equal(fake, q(low.float())), f"expected the codes of float32, got others for {q}"
        assert torch.equal(fake, real), f"expected equal tensors, got others for {low.dtype} and {q}"


def quantizer_keeps_nan(q: Quantizer, v: Tensor) -> None:
    """NaN remains NaN, so that a diverged network does not look healthy."""
    with_nan = v.index_fill(1, torch.tensor([3]), torch.nan)
    assert q(with_nan)[:, 3].isnan().all(), f"expected NaN for NaN, got numbers for {q}"
    with torch.no_grad():
        assert q(with_nan)[:, 3].isnan().all(), f"expected NaN for NaN, got numbers for {q}"


def quantizer_passes_gradients(q: Quantizer, v: Tensor) -> None:
    """Gradients are finite, and not zero within the range."""
    leaf, upstream = v.clone().requires_grad_(), _like(v, seed=1)
    (grad,) = torch.autograd.grad(q(leaf), leaf, upstream)
    assert grad.isfinite().all(), f"expected finite gradients, got others for {q}"
    assert (grad[q.in_range(v)] != 0).all(), f"expected gradients within the range, got zeros for {q}"


def quantizer_gives_the_same_values_with_gradients(q: Quantizer, v: Tensor) -> None:
    """Values are the same with gradients, without them, and while flatness is measured."""
    leaf = v.clone().requires_grad_()
    trained = q(leaf).detach()
    q.ste_only = True
    measured = q(leaf).detach()
    with torch.no_grad():
        assert torch.equal(trained, q(v)), f"expected the same values without gradients for {q}"
    assert torch.equal(trained, measured), f"expected the same values while flatness is measured for {q}"


def quantizer_has_symmetric_curvature(q: Quantizer, v: Tensor) -> None:
    """Hessians are symmetric while flatness is measured."""
    q.double().ste_only = True
    tensors = [v.double().requires_grad_(), *q.parameters()]
    x = q(tensors[0])
    loss = (_like(x, seed=1) * x.sin()).sum() + (_like(x, seed=2) * x).sum().square() / x.numel()
    left, right = ([_like(t, seed=seed) for t in tensors] for seed in (3, 4))
    gradients = torch.autograd.grad(loss, tensors, create_graph=True)
    one, other = _second(gradients, tensors, left, right), _second(gradients, tensors, right, left)
    tolerance = 1e-9 * max(1, abs(one))  # for sums of a few hundred terms in float64
    assert abs(one - other) <= tolerance, f"expected u'Hv == v'Hu, got {one} and {other} for {q}"


def quantizer_state_is_complete(q: Quantizer, v: Tensor) -> None:
    """The state dict contains the complete grid."""
    loaded = type(q)(bits=q.bits, role=q.role, scale_shape=tuple(q.scale.shape))
    loaded.load_state_dict(q.state_dict())
    assert torch.equal(q(v), loaded(v)), f"expected the same output after loading, got another for {q}"
    assert (loaded.qmin, loaded.qmax) == (q.qmin, q.qmax), f"expected the bounds in the state dict of {q}"


def _on_all_examples(check: Callable[[Quantizer, Tensor], None]) -> Callable[[type[Quantizer]], None]:
    """Return the check of a class, which runs `check` on a copy of every example."""

    @wraps(check)
    def check_all(quantizer: type[Quantizer]) -> None:
        for q, values in _examples(quantizer):  # type: ignore[arg-type]  # classes are hashable
            check(deepcopy(q), values)

    return check_all


def works_on_another_device(quantizer: type[Quantizer]) -> None:
    """Calibration, rounding and gradients work on a device that is not the CPU."""
    range_inits: tuple[RangeInit, ...] = ("own", "percentile")
    cases = _cases(torch.Generator().manual_seed(0))
    for (role, scale_shape, values), range_init in product(cases, range_inits):
        with pretended_device() as there:
            q = quantizer(bits=4, role=role, scale_shape=scale_shape).to(there.device)
            v, observed = values.to(there.device), Observer(scale_shape)
            observed.add(v)
            q.calibrate(observed, range_init, PERCENTILE)
            q(v.requires_grad_()).sum().backward()
            results = q.dequantize(q.codes(v)), q.in_range(v), q.in_weight_scale(v)
        assert all(map(there.there, results)), f"expected results on the device, got others for {q}"


CHECKS = [_on_all_examples(check) for name, check in dict(globals()).items() if name.startswith("quantizer_")]
CHECKS.append(works_on_another_device)


@lru_cache
def _examples(quantizer: type[Quantizer]) -> list[tuple[Quantizer, Tensor]]:
    """Return quantizers with the values they are calibrated on: all ranges, of weights and inputs."""
    generator = torch.Generator().manual_seed(0)
    examples = []
    for bits in (2, 3, 4, 5, 8):
        range_inits: tuple[RangeInit, ...] = ("own", "minmax", "mse", "percentile")
        for (role, scale_shape, values), range_init in product(_cases(generator), range_inits):
            q = quantizer(bits=bits, role=role, scale_shape=scale_shape)
            observed = Observer(scale_shape)
            observed.add(values)
            q.calibrate(observed, range_init, PERCENTILE)
            examples.append((q.eval(), values))
    return examples


def _cases(generator: torch.Generator) -> list[tuple[Role, tuple[int, ...], Tensor]]:
    """Return roles with shapes of the scale, and random values."""
    weight, signed = torch.randn(6, 40, generator=generator), torch.randn(6, 40, generator=generator)
    return [
        ("weight", (6, 1), weight),
        ("weight", (), weight),
        ("input", (), signed),
        ("input", (), signed.relu()),
    ]


def _second(
    gradients: Sequence[Tensor], tensors: Sequence[Tensor], u: Sequence[Tensor], v: Sequence[Tensor]
) -> float:
    """Return u'Hv, where H is the derivative of the gradients."""
    slope = torch.stack([(g * t).sum() for g, t in zip(gradients, v, strict=True)]).sum()
    products = torch.autograd.grad(slope, tensors, retain_graph=True, allow_unused=True)
    return sum(float((h * t).sum()) for h, t in zip(products, u, strict=True) if h is not None)


def _like(v: Tensor, *, seed: int) -> Tensor:
    return torch.randn(v.shape, dtype=v.dtype, generator=torch.Generator().manual_seed(seed))
