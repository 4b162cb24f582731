"""Contract checks for plugins: `flatqat test my_method.py` runs what the built-ins have to pass.

Each check is a function that raises AssertionError with what was expected and what came.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat import registry
from flatqat.methods._base import Method, Setup
from flatqat.models._base import Source
from flatqat.quant._apply import quantize_
from flatqat.quant._base import Quantizer, Role
from flatqat.quant._observe import Observer
from flatqat.spec import Budget, QuantSpec, Suite

Check = Callable[[Any], None]

CLASSES = 4
BUDGET = Budget(pretrain_steps=3, steps=3, batch_size=16)


def check_plugin(path: Path) -> Iterator[tuple[str, str]]:
    """(check, problem) for every check of everything that the file exports; no problem is an empty text."""
    for kind, name in registry.add_plugin(path):
        thing = registry.load(kind, name)
        for check in CHECKS[kind]:
            yield f"{kind.word} {name}: {(check.__doc__ or '').strip().rstrip('.')}", _problem(check, thing)


def _problem(check: Check, thing: Any) -> str:
    try:
        check(thing)
    except AssertionError as error:
        return str(error) or "the check does not hold"
    except (Exception, SystemExit) as error:
        return f"raised {error!r}"
    return ""


# Methods


def method_config_is_frozen_with_defaults(method: type[Method]) -> None:
    """Config is a frozen dataclass and every setting has a default."""
    assert issubclass(method, Method), f"expected a subclass of Method, got {method!r}"
    assert is_dataclass(method.Config), f"expected a dataclass, got {method.Config!r}"
    config = method.Config()
    for field in fields(config):
        try:
            setattr(config, field.name, None)
        except AttributeError:
            continue
        raise AssertionError("expected frozen=True, but a setting could be assigned")


def method_trains_finitely(method: type[Method]) -> None:
    """Every step returns a finite loss, and training changes the weights."""
    model, losses = _train(method, "4")
    assert all(loss.isfinite() for loss in losses), f"expected finite losses, got {losses}"
    before, _ = _train(method, "4", steps=0)
    changed = any(not torch.equal(a, b) for a, b in _pairs(model, before))
    assert changed or method.steps(BUDGET) == 0, "expected weights that change, got the same ones"


def method_is_deterministic(method: type[Method]) -> None:
    """The same start and batches give the same weights, to the bit."""
    first, second = _train(method, "4")[0], _train(method, "4")[0]
    differing = [
        name for name, a in first.state_dict().items() if not torch.equal(a, second.state_dict()[name])
    ]
    assert not differing, f"expected equal weights, got others in {differing[:3]}"


def method_leaves_the_global_generator(method: type[Method]) -> None:
    """No random number is drawn from torch's global generator."""
    before = torch.get_rng_state()
    _train(method, "4")
    assert torch.equal(before, torch.get_rng_state()), (
        "expected a Generator of its own, got the global one used"
    )


def method_works_on_any_bits(method: type[Method]) -> None:
    """It trains at w4a4, w2a32 and in floating point, with every quantizer."""
    for quantizer in registry.names(registry.QUANTIZERS):
        for bits in (f"4@{quantizer}", f"w2a32@{quantizer}"):
            assert all(loss.isfinite() for loss in _train(method, bits)[1]), (
                f"expected finite losses at {bits}"
            )
    assert all(loss.isfinite() for loss in _train(method, "fp")[1]), "expected finite losses at fp"


def method_keeps_the_state_dict(method: type[Method]) -> None:
    """The trained model's state loads into a freshly quantized one."""
    trained, fresh = _train(method, "4")[0], _net(QuantSpec.parse("4"), method)
    expected, got = fresh.state_dict().keys(), trained.state_dict().keys()
    assert expected == got, f"expected the same tensors, got a difference in {sorted(expected ^ got)[:3]}"


# Quantizers


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


# Models


def model_builds_classifiers(source: Source) -> None:
    """The first name builds a network that gives finite logits, and gradients to every weight."""
    model = source.build(source.names()[0], CLASSES)
    logits = model(_images(2, size=64))
    assert logits.shape == (2, CLASSES), f"expected logits (2, {CLASSES}), got {tuple(logits.shape)}"
    logits.sum().backward()
    bare = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not bare, f"expected gradients everywhere, got none for {bare[:3]}"


# Suites


def suite_starts_with_id(suite: Suite) -> None:
    """The first shift is `id`, names are unique, and there is a budget."""
    names = [shift.name for shift in suite.shifts]
    assert names[0] == "id", f"expected 'id' first, got {names[0]!r}"
    assert len(set(names)) == len(names), "expected unique names of shifts, got some twice"
    assert suite.budgets, "expected at least one budget, got none"


def suite_data_is_consistent(suite: Suite) -> None:
    """Labels are in range, one pool shows the same labels in the same order, two builds are equal."""
    wrong = [finding.what for finding in suite.verify(None) if not finding.ok]
    assert not wrong, f"expected data without --data-root, or set FLATQAT_DATA_ROOT; {wrong[0]}"
    pools: dict[str, Tensor] = {}
    for shift in suite.shifts:
        data, again = shift.build(None).sample(8), shift.build(None).sample(8)
        images, labels = data.batch(torch.arange(len(data)))
        assert torch.equal(images, again.batch(torch.arange(len(again)))[0]), (
            f"{shift.name}: two builds differ"
        )
        assert 0 <= int(labels.min()) <= int(labels.max()) < suite.classes, (
            f"{shift.name}: labels out of range"
        )
        first = pools.setdefault(shift.pool, labels)
        assert torch.equal(first, labels), f"{shift.name}: expected the labels of pool {shift.pool!r}"


CHECKS: dict[registry.Kind, list[Check]] = {
    registry.METHODS: [
        method_config_is_frozen_with_defaults,
        method_trains_finitely,
        method_is_deterministic,
        method_leaves_the_global_generator,
        method_works_on_any_bits,
        method_keeps_the_state_dict,
    ],
    registry.QUANTIZERS: [
        quantizer_is_idempotent,
        quantizer_is_monotone,
        quantizer_has_few_levels,
        quantizer_equals_real_quantization,
        quantizer_passes_gradients,
        quantizer_state_is_complete,
    ],
    registry.MODELS: [model_builds_classifiers],
    registry.SUITES: [suite_starts_with_id, suite_data_is_consistent],
}


def _images(count: int, size: int = 8) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def _net(spec: QuantSpec, method: type[Method]) -> nn.Module:
    """A small convolutional network, the same one at every call."""
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global generator
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 64, CLASSES),
        )
    quantize_(net, spec if method.quantizes else QuantSpec())
    return net


def _train(method: type[Method], bits: str, steps: int | None = None) -> tuple[nn.Module, list[Tensor]]:
    net = _net(QuantSpec.parse(bits), method)
    rule = method(Setup(model=net, loss=F.cross_entropy, budget=BUDGET))
    x, y = _images(16), torch.arange(16) % CLASSES
    rule.begin([(x, y)])
    losses = [rule.step(x, y)["loss"] for _ in range(rule.total_steps if steps is None else steps)]
    rule.end([(x, y)])
    return net, losses


def _pairs(a: nn.Module, b: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(a.parameters(), b.parameters(), strict=True)


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
