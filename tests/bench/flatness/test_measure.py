"""Flatness of a quantized network: every space against the dense Hessian of a plain one."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.flatness.estimators import RADII
from flatqat.bench.flatness.flatness_point import flatness_batches, moved_params
from flatqat.bench.flatness.measure import flatness_of
from flatqat.data.images.image_data import ImageData
from flatqat.data.images.views import eval_crop
from flatqat.methods.base import Setup
from flatqat.methods.qat import QAT
from flatqat.quant.apply import calibrate, latent_weights, quantize_, quantizers
from flatqat.quant.ewgs import EWGS
from flatqat.quant.lsqplus import LSQPlus
from flatqat.spec import Cell, EvalTransform, QuantSpec, Recipe

CELL = Cell(suite="s", suite_version=1, model="m", method="qat", quant="3", recipe="b", seed=0)


def plain_network() -> nn.Module:
    """About 150 parameters, BatchNorm among them."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 3, 3, stride=2),
            nn.BatchNorm2d(3),
            nn.Softplus(),
            nn.Conv2d(3, 2, 2),
            nn.Flatten(),
            nn.Linear(8, 3),
        ).double()


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(40, 3, 8, 8, dtype=torch.float64, generator=generator), torch.arange(40) % 3


def trained(bits: str) -> nn.Module:
    net = plain_network()
    quantize_(net, QuantSpec.parse(bits))
    net.double()
    recipe = Recipe(pretrain_steps=0, steps=8, batch_size=40, lr=0.2)
    rule = QAT(Setup(model=net, loss=lambda z, y: F.cross_entropy(z.double(), y), recipe=recipe))
    x, y = data()
    rule.begin([(x, y)])
    for _ in range(8):
        rule.step(x, y)
    rule.end([(x, y)])
    return net.eval()


def dense_top(net: nn.Module, params: dict[str, torch.Tensor]) -> float:
    """Largest eigenvalue of the dense float64 Hessian in `params` of a plain network."""
    x, y = data()
    names = list(params)
    shapes = [params[n].shape for n in names]

    def loss(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        given = {n: part.view(shape) for n, part, shape in zip(names, parts, shapes, strict=True)}
        return F.cross_entropy(functional_call(net, given, (x,)), y)

    vector = torch.cat([params[n].detach().flatten() for n in names])
    return float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, vector))[-1])


def deployed(net: nn.Module) -> nn.Module:
    """A plain network with the rounded weights of `net` in it."""
    plain = plain_network().eval()
    state = {}
    for name, tensor in net.state_dict().items():
        if "quantizer" not in name and ".weight.0." not in name:
            state[name.replace("parametrizations.weight.original", "weight")] = tensor
    for name, (w, q) in latent_weights(net).items():
        state[name.replace("parametrizations.weight.original", "weight")] = q(w).detach()
    plain.load_state_dict(state)
    return plain


@pytest.mark.parametrize("bits", ["fp", "3", "w4a32", "3@dorefa", "3@apot", "3@n2uq"])
def test_the_quantized_space_is_the_deployed_point(bits):
    """Inputs in floating point: exactly the Hessian of a plain network at Q(w), off by residual² alone."""
    net = trained(bits)
    plain = deployed(net)
    found = flatness_of(net, [data()], CELL, acts=False)
    expected = dense_top(plain, dict(plain.named_parameters()))
    assert found["lambda_max"]["value"] == pytest.approx(expected, rel=1e-3)
    x, y = data()
    assert found["loss"] == pytest.approx(F.cross_entropy(plain(x), y).item(), rel=1e-9)
    assert found["weight_norm"] == pytest.approx(
        torch.cat([p.flatten() for p in plain.parameters()]).norm().item(), rel=1e-9
    )


def test_with_input_quantizers_on_the_loss_is_that_of_the_quantized_network():
    net = trained("3")
    x, y = data()
    found = flatness_of(net, [data()], CELL)
    assert found["loss"] == pytest.approx(F.cross_entropy(net(x), y).item(), rel=1e-9)
    assert found["loss"] != pytest.approx(flatness_of(net, [data()], CELL, acts=False)["loss"], rel=1e-6)


def test_the_latent_space_masks_what_is_clipped():
    """H_latent = M H(Q(w)) M: with the rounding in the loop and inputs in floating point."""
    net = trained("w3a32")
    plain = deployed(net)
    x, y = data()
    names = list(dict(plain.named_parameters()))
    masks = {name: torch.ones_like(p) for name, p in plain.named_parameters()}
    for name, (w, q) in latent_weights(net).items():
        masks[name.replace("parametrizations.weight.original", "weight")] = q.in_range(w).double()
    clipped = sum(int((m == 0).sum()) for m in masks.values())
    assert clipped > 0, "the example must clip something"

    def loss(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([masks[n].numel() for n in names])
        given = {n: part.view_as(masks[n]) for n, part in zip(names, parts, strict=True)}
        return F.cross_entropy(functional_call(plain, given, (x,)), y)

    at = torch.cat([p.detach().flatten() for p in plain.parameters()])
    mask = torch.cat([masks[n].flatten() for n in names])
    hessian = mask[:, None] * torch.autograd.functional.hessian(loss, at) * mask
    expected = float(torch.linalg.eigvalsh(hessian)[-1])
    found = flatness_of(net, [data()], CELL, space="latent")
    assert found["lambda_max"]["value"] == pytest.approx(expected, rel=1e-3)


def test_the_scale_space_moves_step_sizes_alone():
    net = trained("3")
    params = moved_params(net, "step_size")
    assert len(params) == 6
    assert {id(q.scale) for _, q in quantizers(net)} == {
        id(p) for n, p in net.named_parameters() if n in params
    }
    found = flatness_of(net, [data()], CELL, space="step_size")
    assert found["sharpness_avg"] == {}
    assert found["lambda_max"]["value"] != 0


@pytest.mark.parametrize(
    ("quantizer", "learned"), [("lsqplus", {"scale", "offset"}), ("n2uq", {"scale", "start", "widths"})]
)
def test_the_scale_space_moves_all_that_quantizers_learn(quantizer, learned):
    net = trained(f"3@{quantizer}")
    names = set(moved_params(net, "step_size"))
    assert {name.rpartition(".")[2] for name in names} == learned
    assert not names & set(moved_params(net, "latent"))
    assert len(names) + len(moved_params(net, "latent")) == len(list(net.parameters()))


@pytest.mark.parametrize(
    ("quantizer", "space", "acts", "swapped"),
    [
        ("lsq", "latent", True, False),
        ("ewgs", "latent", False, True),
        ("ewgs", "quantized", True, True),
        ("ewgs", "quantized", False, False),
        ("n2uq", "quantized", True, False),
        ("n2uq", "latent", True, True),
    ],
)
def test_a_backward_that_is_no_gradient_is_swapped_and_the_record_says_so(quantizer, space, acts, swapped):
    """EWGS everywhere, N2UQ for weights, as far as those quantizers are in the loop."""
    found = flatness_of(trained(f"3@{quantizer}"), [data()], CELL, space=space, acts=acts, draws=2)
    assert found.get("backward") == ("straight-through" if swapped else None)


def test_curvature_of_ewgs_is_that_of_lsqplus():
    """The same grids, so the same straight-through Hessian: EWGS's own backward takes no part."""
    tops = []
    for quantizer in (EWGS, LSQPlus):

        class Affine(quantizer):
            offset_roles, per_channel, delta = ("weight", "input"), False, 0.5

        net = plain_network()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(registry, "load", lambda kind, name, q=Affine: q)
            quantize_(net, QuantSpec.parse("3"))
        calibrate(net.double(), [data()[0]], "minmax")
        tops.append(flatness_of(net.eval(), [data()], CELL, space="latent", draws=2)["lambda_max"])
    assert tops[0] == tops[1]
    assert tops[0]["residual"] < 1e-3


def test_three_radii_rise_with_the_radius():
    found = flatness_of(trained("3"), [data()], CELL, draws=4)
    values = [found["sharpness_avg"][str(radius)]["value"] for radius in RADII]
    assert values == sorted(values)


def test_measuring_changes_nothing_and_repeats():
    net = trained("3")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert flatness_of(net, [data()], CELL, draws=2) == flatness_of(net, [data()], CELL, draws=2)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(q.enabled for _, q in quantizers(net))
    assert all(p.grad is None or not p.grad.isnan().any() for p in net.parameters())


def test_batchnorm_is_in_eval_mode_whatever_the_mode_was():
    net = trained("3")
    expected = flatness_of(net, [data()], CELL, draws=2)
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert flatness_of(net.train(), [data()], CELL, draws=2) == expected
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())


def test_batches_are_the_same_for_every_method_and_of_equal_size():
    images = torch.randint(256, (600, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    wrapped = ImageData.in_memory(images, torch.zeros(600, dtype=torch.long), classes=1, source="test")
    first = flatness_batches(CELL, wrapped, 520, "cpu", view=eval_crop(EvalTransform()))
    second = flatness_batches(
        Cell(**{**CELL.to_dict(), "method": "anchor", "quant": "2"}),
        wrapped,
        520,
        "cpu",
        view=eval_crop(EvalTransform()),
    )
    assert [len(y) for _, y in first] == [256, 256]
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, second, strict=True))


def test_large_images_come_in_smaller_chunks():
    """A network of any depth keeps as many activations a value: 40 of 224 pixels as 2 chunks of 16."""
    images = torch.zeros(40, 3, 224, 224, dtype=torch.uint8)
    wrapped = ImageData.in_memory(images, torch.zeros(40, dtype=torch.long), classes=1, source="test")
    found = flatness_batches(CELL, wrapped, 40, "cpu", view=eval_crop(EvalTransform()))
    assert [len(y) for _, y in found] == [16, 16]


def test_heads_that_only_training_runs_are_not_moved():
    """They change no loss, and would only add to the norm of the weights."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 2, 1)), nn.Conv2d(4, 3, 1))
    assert set(moved_params(net, "quantized")) == {
        f"{at}.{part}" for at in ("0", "1.0", "2") for part in ("weight", "bias")
    }
    net[1].training_only = True
    assert set(moved_params(net, "quantized")) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    quantize_(net, QuantSpec.parse("4"))
    assert "1.0.weight" not in moved_params(net, "latent")
    assert "0.parametrizations.weight.original" in moved_params(net, "latent")


def test_large_label_maps_come_one_by_one():
    """Two of 512x1024 pixels are the most that fits."""
    pixels = torch.zeros(5, 4, 512, 1024, dtype=torch.uint8)
    data = ImageData.with_label_maps(pixels, classes=3, source="test")
    found = flatness_batches(CELL, data, 5, "cpu", view=eval_crop(EvalTransform()))
    assert [len(y) for _, y in found] == [2, 2]
