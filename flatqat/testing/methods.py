"""What every training rule has to keep."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor, nn

from flatqat import registry
from flatqat.methods.base import Batch, Method, Setup
from flatqat.metrics.loss import Loss, cross_entropy, pixel_cross_entropy
from flatqat.models.segmentation import training_only
from flatqat.quant.apply import quantize_
from flatqat.spec import IGNORED, QuantSpec, Recipe
from flatqat.testing._toys import CLASSES, toy_images

RECIPE = Recipe(pretrain_steps=3, steps=3, batch_size=16)


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
    assert changed or method.steps(RECIPE) == 0, "expected weights that change, got the same ones"


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
    """It trains at w4a4 and w2a32, with every quantizer."""
    for quantizer in registry.names(registry.QUANTIZERS):
        for bits in (f"4@{quantizer}", f"w2a32@{quantizer}"):
            assert all(loss.isfinite() for loss in _train(method, bits)[1]), (
                f"expected finite losses at {bits}"
            )


def method_works_on_label_maps(method: type[Method]) -> None:
    """It trains networks that classify every pixel and have an auxiliary head, with every quantizer."""
    masks = (toy_images(8)[:, 0] * CLASSES).long()
    masks[:, 0] = IGNORED
    for quantizer in registry.names(registry.QUANTIZERS):
        net = _Pixelwise()
        quantize_(net, QuantSpec.parse(f"4@{quantizer}") if method.quantizes else QuantSpec())
        rule = _begun(method, net, pixel_cross_entropy, (toy_images(8), masks))
        losses = [rule.step(toy_images(8), masks)["loss"] for _ in range(rule.total_steps)]
        rule.end([(toy_images(8), masks)])
        assert all(loss.isfinite() for loss in losses), f"expected finite losses with {quantizer}"
        expected, got = (8, CLASSES, *masks.shape[1:]), tuple(net.eval()(toy_images(8)).shape)
        assert got == expected, f"expected logits {expected} at the end, got {got}"


def method_works_in_floating_point(method: type[Method]) -> None:
    """Without quantizers it trains too, from finite losses to other weights."""
    model, losses = _train(method, "fp")
    assert all(loss.isfinite() for loss in losses), f"expected finite losses, got {losses}"
    before, _ = _train(method, "fp", steps=0)
    changed = any(not torch.equal(a, b) for a, b in _pairs(model, before))
    assert changed or method.steps(RECIPE) == 0, "expected weights that change, got the same ones"


def method_puts_back_what_it_moves(method: type[Method]) -> None:
    """When the optimizer steps, every parameter stands where the step found it, to the bit."""
    net, rule, batch = _ready(method, "4")
    before: dict[str, Tensor] = {}
    moved: list[str] = []
    rule.optimizer.register_step_pre_hook(
        lambda *_: moved.extend(n for n, p in net.named_parameters() if not torch.equal(p, before[n]))
    )
    for _ in range(rule.total_steps):
        before |= {name: p.detach().clone() for name, p in net.named_parameters()}
        rule.step(*batch)
    assert not moved, f"expected parameters in their places, got others in {moved[:3]}"


def method_end_changes_the_model_alone(method: type[Method]) -> None:
    """`end` in the middle changes nothing but the model's state: with that put back, training is the same."""
    expected, _ = _train(method, "4")
    net, rule, batch = _ready(method, "4")
    for _ in range(rule.total_steps):
        rule.step(*batch)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        rule.end([batch])
        net.load_state_dict(before)
    rule.end([batch])
    differing = [
        name for name, a in net.state_dict().items() if not torch.equal(a, expected.state_dict()[name])
    ]
    assert not differing, f"expected the same weights, got others in {differing[:3]}"


def method_keeps_the_state_dict(method: type[Method]) -> None:
    """The trained model's state loads into a freshly quantized one."""
    trained, fresh = _train(method, "4")[0], _net(QuantSpec.parse("4"), method)
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


class _Pixelwise(nn.Module):
    """Logits a pixel; in training those of an auxiliary head too, with its weight."""

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


def _ready(method: type[Method], bits: str) -> tuple[nn.Module, Method, Batch]:
    """The network, the rule that has begun on it, and the batch to train on."""
    net = _net(QuantSpec.parse(bits), method)
    batch = toy_images(16), torch.arange(16) % CLASSES
    return net, _begun(method, net, cross_entropy, batch), batch


def _begun(method: type[Method], net: nn.Module, loss: Loss, batch: Batch) -> Method:
    x, y = batch

    def val_loss() -> float:
        with torch.no_grad():
            return loss(net.eval()(x.flip(3)), y).item()

    rule = method(Setup(model=net, loss=loss, recipe=RECIPE, val_loss=val_loss))
    rule.begin([batch])
    return rule


def _train(method: type[Method], bits: str, steps: int | None = None) -> tuple[nn.Module, list[Tensor]]:
    net, rule, batch = _ready(method, bits)
    losses = [rule.step(*batch)["loss"] for _ in range(rule.total_steps if steps is None else steps)]
    rule.end([batch])
    return net, losses


def _pairs(a: nn.Module, b: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(a.parameters(), b.parameters(), strict=True)
