"""Methods of two passes against closed forms on quadratics and a slow twin of a quantized network."""

from math import sqrt

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad
from torch.nn import functional as F

from flatqat.methods import asam, gsam, sagm, sam, saq
from flatqat.methods.base import Setup
from flatqat.quant.apply import quantize_, quantizers
from flatqat.spec import QuantSpec, Recipe
from tests.helpers.method_runs import batches, network

LR = 0.1
PLAIN = Recipe(
    pretrain_steps=0, steps=4, batch_size=16, lr=LR, momentum=0.0, weight_decay=0.0, schedule="constant"
)


class Point(nn.Module):
    """A network whose output is its weight."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(w.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * 1


def step_on_quadratic(method_class, config, w: Tensor, a: Tensor) -> Tensor:
    """The direction of one step on L = ½ Σ a w²."""
    net = Point(w)
    method = method_class(Setup(model=net, loss=lambda z, y: 0.5 * (a * z * z).sum(), recipe=PLAIN), config)
    method.step(torch.zeros(1), torch.zeros(1))
    return (w - net.weight.detach()) / LR


W, A = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 3.0, 0.2])


def test_sam_on_a_quadratic():
    """g = a w, so the step is along a (w + ρ g / ‖g‖)."""
    g = A * W
    got = step_on_quadratic(sam.SAM, sam.Config(rho=0.3), W, A)
    torch.testing.assert_close(got, A * (W + 0.3 * g / g.norm()), rtol=1e-5, atol=1e-6)


def test_asam_on_a_quadratic():
    """T = |w| + η; the step is along a (w + ρ T² g / ‖T g‖)."""
    g, t = A * W, W.abs() + 0.1
    got = step_on_quadratic(asam.ASAM, asam.Config(rho=0.3, eta=0.1), W, A)
    torch.testing.assert_close(got, A * (W + 0.3 * t * t * g / (t * g).norm()), rtol=1e-5, atol=1e-6)


def test_gsam_on_a_quadratic():
    """At the peak rate the radius is `rho`; g⊥ has no part along g'."""
    g = A * W
    g2 = A * (W + 0.3 * g / g.norm())
    across = g - (g @ g2) / (g2 @ g2) * g2
    assert abs(across @ g2) < 1e-6
    got = step_on_quadratic(gsam.GSAM, gsam.Config(rho=0.3, alpha=0.4), W, A)
    torch.testing.assert_close(got, g2 - 0.4 * across, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_gsam_in_one_dimension_is_sam(alpha):
    """g⊥ = 0, whatever α: the step is a (w + ρ)."""
    w, a = torch.tensor([1.5]), torch.tensor([2.0])
    got = step_on_quadratic(gsam.GSAM, gsam.Config(rho=0.3, alpha=alpha), w, a)
    torch.testing.assert_close(got, a * (w + 0.3), rtol=1e-5, atol=1e-6)


def test_sagm_in_one_dimension():
    """½ (a w + a (w + ρ − α a w))."""
    w, a = torch.tensor([1.5]), torch.tensor([2.0])
    got = step_on_quadratic(sagm.SAGM, sagm.Config(rho=0.3, alpha=0.05), w, a)
    torch.testing.assert_close(got, 0.5 * (a * w + a * (w + 0.3 - 0.05 * a * w)), rtol=1e-5, atol=1e-6)


def test_gsam_radius_follows_the_learning_rate():
    """ρ_t = ρ_min + (ρ − ρ_min) · lr_t / lr_0 on the cosine: the peak, halfway, and the end."""
    recipe = Recipe(pretrain_steps=0, steps=4, batch_size=16)
    method = gsam.GSAM(Setup(model=network("3"), loss=F.cross_entropy, recipe=recipe))
    radii = []
    for x, y in batches(4):
        radii.append(method.radius)
        method.step(x, y)
    assert radii[0] == 0.04
    assert radii[2] == pytest.approx(0.03)
    assert method.radius == pytest.approx(0.02)


def test_saq_on_a_quantized_quadratic():
    """L = ½ Σ a Q(W)²: e = ρ a Q(W) / ‖a Q(W)‖, clipped weights too; W steps along a (Q(W) + e) in range."""
    w = torch.tensor([[0.6, -1.1, 1.4], [9.0, 1.2, -0.4]])
    a = torch.tensor([[1.0, 3.0, 0.2], [0.5, 2.0, 1.0]])
    net = nn.Sequential(nn.Linear(3, 2, bias=False))
    quantize_(net, QuantSpec(weight_bits=3, keep=()))
    latent, quantizer = net[0].parametrizations.weight.original, net[0].parametrizations.weight[0]
    with torch.no_grad():
        latent.copy_(w)
        quantizer.scale.fill_(0.5)
    setup = Setup(model=net, loss=lambda z, y: 0.5 * (a.T * z * z).sum(), recipe=PLAIN)
    method = saq.SAQ(setup, saq.Config(rho=0.7))
    method.step(torch.eye(3), torch.zeros(3))
    q = torch.tensor([[0.5, -1.0, 1.5], [1.5, 1.0, -0.5]])
    inside = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    g = a * q
    expected = inside * a * (q + 0.7 * g / g.norm())
    torch.testing.assert_close((w - latent.detach()) / LR, expected, rtol=1e-5, atol=1e-5)


def surrogate(v: Tensor, s: Tensor, low: int, high: int, factor: float) -> Tensor:
    """|s| · code, with the derivatives of |s| · (clip(v / |s|) + r), r fixed, that of s times `factor`."""
    s = s.abs()  # a step size that a step has carried past zero
    ratio = (v / s).detach()
    codes = ratio.clamp(low, high).round()
    inside = (ratio >= low) & (ratio <= high)
    slope = torch.where(inside, codes - ratio, ratio.clamp(low, high))
    linear = torch.where(inside, v, torch.zeros_like(v)) + slope * s * factor
    return linear - linear.detach() + codes * s.detach()


def twin_loss(net: nn.Module):
    """The loss of `network` as a function of its parameters and of shifts behind the rounding."""
    grids = {}
    for name, q in quantizers(net):
        grids[name, q.role] = (q.qmin, q.qmax)

    def layer(name: str, x: Tensor, p: dict[str, Tensor], shifts: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        weight = f"{name}.parametrizations.weight.original"
        w, s = p[weight], p[f"{name}.parametrizations.weight.0.scale"]
        low, high = grids[name, "weight"]
        quantized = surrogate(w, s, low, high, 1 / sqrt(w.numel() / s.numel() * high))
        if weight in shifts:
            quantized = quantized + shifts[weight]
        low, high = grids[name, "input"]
        factor = 1 / sqrt(x[0].numel() * high)
        return surrogate(x, p[f"{name}.input_quantizer.scale"], low, high, factor), quantized

    def loss(p: dict[str, Tensor], shifts: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        x = F.conv2d(*layer("0", x, p, shifts), p["0.bias"])
        x = F.relu(F.batch_norm(x, None, None, p["1.weight"], p["1.bias"], training=True))
        x = F.relu(F.conv2d(*layer("3", x, p, shifts), p["3.bias"]))
        return F.cross_entropy(F.linear(*layer("6", x.flatten(1), p, shifts), p["6.bias"]), y)

    return loss


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors.values()])


def is_scale(name: str) -> bool:
    return name.endswith("scale")


def twin_step(name: str, config, net: nn.Module, x: Tensor, y: Tensor, radius: float) -> dict[str, Tensor]:
    """One step written out: derivatives by torch.func at explicitly moved parameters."""
    loss = twin_loss(net)
    params = {key: p.detach().clone() for key, p in net.named_parameters()}
    space = "quantized" if name == "saq" else config.space
    weights = [key for key in params if key.endswith("original")] if space == "quantized" else []
    at_rest = {key: torch.zeros_like(params[key]) for key in weights}
    first, behind = grad(loss, argnums=(0, 1))(params, at_rest, x, y)
    moves = {k: g for k, g in first.items() if k not in weights and (config.scales or not is_scale(k))}
    moves |= behind
    points = {k: params[k] for k in moves} | {
        key: surrogate(params[key], params[key.replace("original", "0.scale")], *bounds(net, key), 1.0)
        for key in weights
    }
    if name == "asam":
        sizes = {
            k: points[k].abs() + config.eta if "weight" in k and not is_scale(k) else torch.ones_like(v)
            for k, v in points.items()
        }
        length = flat({k: sizes[k] * g for k, g in moves.items()}).norm()
        e = {k: radius * sizes[k] ** 2 * g / length for k, g in moves.items()}
    else:
        length = flat(moves).norm()
        less = config.alpha if name == "sagm" else 0.0
        e = {k: radius * g / length - less * g for k, g in moves.items()}
    there = {k: p + e[k] if k in e and k not in weights else p for k, p in params.items()}
    second = grad(loss)(there, {k: e[k] for k in weights}, x, y)
    if name == "sagm":
        step = {k: (first[k] + g) / 2 for k, g in second.items()}
    elif name == "gsam":
        share = flat(first) @ flat(second) / flat(second).norm() ** 2
        step = {k: g - config.alpha * (first[k] - share * g) for k, g in second.items()}
    else:
        step = second
    plain = {k: p - LR * first[k] for k, p in params.items()}
    moved = {k: p - LR * step[k] for k, p in params.items()}
    assert (flat(plain) - flat(moved)).norm() > 0.05 * (flat(plain) - flat(params)).norm()  # no small matter
    return moved


def bounds(net: nn.Module, weight: str) -> tuple[int, int]:
    quantizer = net.get_submodule(weight.replace("original", "0"))
    return quantizer.qmin, quantizer.qmax


CASES = [
    *(("sam", sam.SAM, sam.Config(rho=0.5, space=space)) for space in ("latent", "quantized")),
    *(("asam", asam.ASAM, asam.Config(rho=2.0, space=space)) for space in ("latent", "quantized")),
    *(("gsam", gsam.GSAM, gsam.Config(rho=0.5, alpha=0.4, space=space)) for space in ("latent", "quantized")),
    *(("sagm", sagm.SAGM, sagm.Config(rho=0.8, alpha=0.1, space=space)) for space in ("latent", "quantized")),
    ("sam", sam.SAM, sam.Config(rho=0.5, scales=True)),
    ("asam", asam.ASAM, asam.Config(rho=2.0, scales=True)),
    ("saq", saq.SAQ, saq.Config(rho=0.5)),
]


@pytest.mark.parametrize(("name", "method_class", "config"), CASES, ids=[f"{c[0]}-{c[2]}" for c in CASES])
def test_two_steps_against_a_slow_twin(name, method_class, config):
    net = network("3")
    method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=PLAIN), config)
    method.begin(batches(1))
    for x, y in batches(2):
        expected = twin_step(name, config, net, x, y, method.radius)
        method.step(x, y)
        for key, p in net.named_parameters():
            # float32 sums of thousands of terms in another order
            torch.testing.assert_close(
                p.detach(), expected[key], rtol=1e-4, atol=2e-6, msg=lambda m, k=key: f"{k}: {m}"
            )
