"""Checks that every method has to pass."""

import torch
from torch import Tensor, nn

from flatqat import registry
from flatqat.errors import UsageError
from flatqat.methods.base import Method
from flatqat.methods.settings import ranges
from flatqat.metrics.loss import pixel_cross_entropy
from flatqat.spec import IGNORED
from flatqat.testing._toys import CLASSES, toy_images
from flatqat.testing._trainings import RECIPE, Pixelwise, begun, network, quantized, ready, run, train
from flatqat.testing.pretended import pretended_device


def method_settings_are_checked(method_class: type[Method]) -> None:
    """A setting outside its range is refused."""
    for name, allowed in ranges(method_class.Config).items():  # type: ignore[arg-type]  # classes are hashable
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
    differing = _differing(train(method_class, "4")[0], train(method_class, "4")[0])
    assert not differing, f"expected equal weights in both runs, got a difference in {differing[:3]}"


def method_leaves_the_global_generator(method_class: type[Method]) -> None:
    """Random numbers come from the method's own generator, not from torch's global one."""
    before = torch.get_rng_state()
    train(method_class, "4")
    message = "expected torch.Generator().manual_seed(setup.seed), but the global generator was used"
    assert torch.equal(before, torch.get_rng_state()), message


def method_works_on_any_bits(method_class: type[Method]) -> None:
    """Training works at w4a4 and w2a32 with every quantizer, and at w32a4."""
    tried = [f"{bits}@{name}" for name in registry.names(registry.QUANTIZERS) for bits in ("4", "w2a32")]
    for bits in (*tried, "w32a4"):
        _, method, batch = ready(method_class, bits, search="@" not in bits)
        assert all(loss.isfinite() for loss in run(method, batch)), f"expected finite losses at {bits}"


def method_works_on_label_maps(method_class: type[Method]) -> None:
    """Training works for per-pixel classification with an auxiliary head, with every quantizer."""
    images = toy_images(8)
    masks = (images[:, 0] * CLASSES).long()
    masks[:, 0] = IGNORED
    for quantizer in registry.names(registry.QUANTIZERS):
        net = quantized(Pixelwise(), f"4@{quantizer}", method_class)
        method = begun(method_class, net, pixel_cross_entropy, (images, masks), search=False)
        losses = run(method, (images, masks))
        assert all(loss.isfinite() for loss in losses), f"expected finite losses with {quantizer}"
        expected, got = (8, CLASSES, *masks.shape[1:]), tuple(net.eval()(images).shape)
        assert got == expected, f"expected logits {expected} at the end, got {got}"


def method_works_in_floating_point(method_class: type[Method]) -> None:
    """Training works in floating point, with finite losses and weights that change."""
    _check_training(method_class, "fp")


def method_works_on_another_device(method_class: type[Method]) -> None:
    """Training works on a device that is not the CPU, and leaves the model there."""
    with pretended_device() as there:
        net, method, batch = ready(method_class, "4", there.device, search=False)
        run(method, batch)
        left = [name for name, tensor in net.state_dict().items() if not there.there(tensor)]
    assert not left, f"expected the model on the device of the images, got {left[:3]} on the CPU"


def method_puts_back_what_it_moves(method_class: type[Method]) -> None:
    """Perturbed parameters are restored, bit for bit, before the optimizer steps."""
    net, method, batch = ready(method_class, "4")
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
    expected, _ = train(method_class, "4")
    net, method, batch = ready(method_class, "4")
    for _ in range(method.total_steps):
        method.step(*batch)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        method.end([batch])
        net.load_state_dict(before)
    method.end([batch])
    differing = _differing(net, expected)
    assert not differing, f"expected the weights of an uninterrupted run, got a difference in {differing[:3]}"


def method_keeps_the_state_dict(method_class: type[Method]) -> None:
    """The state of the trained model loads into a newly quantized one."""
    trained, fresh = train(method_class, "4")[0], network("4", method_class)
    expected, got = fresh.state_dict().keys(), trained.state_dict().keys()
    assert expected == got, f"expected the same tensors, got a difference in {sorted(expected ^ got)[:3]}"


CHECKS = [check for name, check in dict(globals()).items() if name.startswith("method_")]


def _check_training(method_class: type[Method], bits: str) -> None:
    model, losses = train(method_class, bits)
    assert all(loss.isfinite() for loss in losses), f"expected finite losses, got {losses}"
    before, _ = train(method_class, bits, steps=0)
    pairs = zip(model.parameters(), before.parameters(), strict=True)
    changed = any(not torch.equal(a, b) for a, b in pairs) or method_class.steps(RECIPE) == 0
    assert changed, "expected training to change the weights, but they are the same"


def _differing(a: nn.Module, b: nn.Module) -> list[str]:
    """Return the names of the tensors that differ in any bit."""
    others = b.state_dict()
    return [name for name, tensor in a.state_dict().items() if not torch.equal(tensor, others[name])]
