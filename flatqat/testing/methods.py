"""Checks that every method has to pass."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor, nn

from flatqat import registry
from flatqat.errors import UsageError
from flatqat.methods.base import Batch, Method, Setup
from flatqat.methods.settings import ranges
from flatqat.metrics.loss import Loss, cross_entropy, pixel_cross_entropy
from flatqat.models.segmentation import training_only
from flatqat.quant.apply import quantize_
from flatqat.spec import IGNORED, QuantSpec, Recipe
from flatqat.testing._toys import CLASSES, toy_images

RECIPE = Recipe(pretrain_steps=3, steps=3, batch_size=16)


def method_config_is_frozen_with_defaults(method_class: type[Method]) -> None:
    """Config is a frozen dataclass, every setting has a default, and ranges of settings are enforced."""
    assert issubclass(method_class, Method), f"expected a subclass of Method, got {method_class!r}"
    assert is_dataclass(method_class.Config), f"expected a dataclass, got {method_class.Config!r}"
    config = method_class.Config()
    for field in fields(config):
        try:
            setattr(config, field.name, None)
        except AttributeError:
            continue
        raise AssertionError("expected frozen=True, but a setting could be assigned")
    for name, allowed in ranges(method_class.Config).items():
        try:
            method_class.Config(**{name: allowed.low - 1})
        except UsageError:
            continue
        raise AssertionError(f"expected Config to inherit from Calibration, but {name!r} is not checked")


def method_trains_finitely(method_class: type[Method]) -> None:
    """Every step returns a finite loss, and training changes the weights."""
    _check_training(method_class, "4")


def method_is_deterministic(method_class: type[Method]) -> None:
    """The same initial weights and batches give the same final weights, bit for bit."""
    first, second = _train(method_class, "4")[0], _train(method_class, "4")[0]
    differing = [
        name for name, a in first.state_dict().items() if not torch.equal(a, second.state_dict()[name])
    ]
    assert not differing, f"expected equal weights in both runs, got a difference in {differing[:3]}"


def method_leaves_the_global_generator(method_class: type[Method]) -> None:
    """Random numbers come from the method's own generator, not from torch's global one."""
    before = torch.get_rng_state()
    _train(method_class, "4")
    assert torch.equal(before, torch.get_rng_state()), (
        "expected torch.Generator().manual_seed(setup.seed), but the global generator was used"
    )


def method_works_on_any_bits(method_class: type[Method]) -> None:
    """Training works at w4a4 and w2a32 with every quantizer."""
    for quantizer in registry.names(registry.QUANTIZERS):
        for bits in (f"4@{quantizer}", f"w2a32@{quantizer}"):
            assert all(loss.isfinite() for loss in _train(method_class, bits)[1]), (
                f"expected finite losses at {bits}"
            )


def method_works_on_label_maps(method_class: type[Method]) -> None:
    """Training works for per-pixel classification with an auxiliary head, with every quantizer."""
    masks = (toy_images(8)[:, 0] * CLASSES).long()
    masks[:, 0] = IGNORED
    for quantizer in registry.names(registry.QUANTIZERS):
        net = _Pixelwise()
        quantize_(net, QuantSpec.parse(f"4@{quantizer}") if method_class.quantizes else QuantSpec())
        method = _begun(method_class, net, pixel_cross_entropy, (toy_images(8), masks))
        losses = [method.step(toy_images(8), masks)["loss"] for _ in range(method.total_steps)]
        method.end([(toy_images(8), masks)])
        assert all(loss.isfinite() for loss in losses), f"expected finite losses with {quantizer}"
        expected, got = (8, CLASSES, *masks.shape[1:]), tuple(net.eval()(toy_images(8)).shape)
        assert got == expected, f"expected logits {expected} at the end, got {got}"


def method_works_in_floating_point(method_class: type[Method]) -> None:
    """Training works in floating point, with finite losses and weights that change."""
    _check_training(method_class, "fp")


def method_puts_back_what_it_moves(method_class: type[Method]) -> None:
    """Perturbed parameters are restored, bit for bit, before the optimizer steps."""
    net, method, batch = _ready(method_class, "4")
    before: dict[str, Tensor] = {}
    moved: list[str] = []
    method.optimizer.register_step_pre_hook(
        lambda *_: moved.extend(n for n, p in net.named_parameters() if not torch.equal(p, before[n]))
    )
    for _ in range(method.total_steps):
        before |= {name: p.detach().clone() for name, p in net.named_parameters()}
        method.step(*batch)
    assert not moved, f"expected restored parameters, got a difference in {moved[:3]}"


def method_end_changes_the_model_alone(method_class: type[Method]) -> None:
    """`end` changes only the model's state: once that is restored, training can continue."""
    expected, _ = _train(method_class, "4")
    net, method, batch = _ready(method_class, "4")
    for _ in range(method.total_steps):
        method.step(*batch)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        method.end([batch])
        net.load_state_dict(before)
    method.end([batch])
    differing = [
        name for name, a in net.state_dict().items() if not torch.equal(a, expected.state_dict()[name])
    ]
    assert not differing, f"expected the weights of an uninterrupted run, got a difference in {differing[:3]}"


def method_keeps_the_state_dict(method_class: type[Method]) -> None:
    """The state of the trained model loads into a newly quantized one."""
    trained, fresh = _train(method_class, "4")[0], _net(QuantSpec.parse("4"), method_class)
    expected, got = fresh.state_dict().keys(), trained.state_dict().keys()
    assert expected == got, f"expected the same tensors, got a difference in {sorted(expected ^ got)[:3]}"


CHECKS = [
    method_config_is_frozen_with_defaults,
    method_trains_finitely,
    method_is_deterministic,
    method_leaves_the_global_generator,
    method_works_on_any_bits,
    method_works_on_label_maps,
    method_works_in_floating_point,
    method_puts_back_what_it_moves,
    method_end_changes_the_model_alone,
    method_keeps_the_state_dict,
]


def _check_training(method_class: type[Method], bits: str) -> None:
    model, losses = _train(method_class, bits)
    assert all(loss.isfinite() for loss in losses), f"expected finite losses, got {losses}"
    before, _ = _train(method_class, bits, steps=0)
    changed = any(not torch.equal(a, b) for a, b in _pairs(model, before))
    assert changed or method_class.steps(RECIPE) == 0, (
        "expected training to change the weights, but they are the same"
    )


def _net(spec: QuantSpec, method_class: type[Method]) -> nn.Module:
    """Return a small convolutional network, the same one at every call."""
    with torch.random.fork_rng(devices=[]):  # initial weights come from the global generator
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
    quantize_(net, spec if method_class.quantizes else QuantSpec())
    return net


class _Pixelwise(nn.Module):
    """Logits per pixel; in training also those of an auxiliary head, with its weight."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
            self.body = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.auxiliary = training_only(nn.Conv2d(4, CLASSES, 1))
            self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[tuple[float, Tensor], ...]:
        early = self.stem(x)
        logits: Tensor = self.head(self.body(early))
        return ((1.0, logits), (0.4, self.auxiliary(early))) if self.training else logits


def _ready(method_class: type[Method], bits: str) -> tuple[nn.Module, Method, Batch]:
    """Return the network, the method after `begin`, and the batch to train on."""
    net = _net(QuantSpec.parse(bits), method_class)
    batch = toy_images(16), torch.arange(16) % CLASSES
    return net, _begun(method_class, net, cross_entropy, batch), batch


def _begun(method_class: type[Method], net: nn.Module, loss: Loss, batch: Batch) -> Method:
    x, y = batch

    def val_loss() -> float:
        with torch.no_grad():
            return loss(net.eval()(x.flip(3)), y).item()

    method = method_class(Setup(model=net, loss=loss, recipe=RECIPE, val_loss=val_loss))
    method.begin([batch])
    return method


def _train(method_class: type[Method], bits: str, steps: int | None = None) -> tuple[nn.Module, list[Tensor]]:
    net, method, batch = _ready(method_class, bits)
    losses = [method.step(*batch)["loss"] for _ in range(method.total_steps if steps is None else steps)]
    method.end([batch])
    return net, losses


def _pairs(a: nn.Module, b: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(a.parameters(), b.parameters(), strict=True)
