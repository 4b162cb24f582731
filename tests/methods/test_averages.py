"""EMA and Lookahead against sums written out, and identities to the bit."""

from math import prod

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.errors import UsageError
from flatqat.methods import ema, lookahead, swad
from flatqat.methods.base import Setup
from flatqat.methods.batchnorm import reestimate_batchnorm
from flatqat.methods.fp import FullPrecision
from flatqat.methods.qat import QAT
from flatqat.quant.apply import latent_weights
from flatqat.spec import Recipe
from tests.helpers.method_runs import assert_equal, batches, begun, network, qat_path, trained, values
from tests.helpers.slow import slow

LONG = Recipe(pretrain_steps=0, steps=8, batch_size=16, lr=0.05)


def rounded_values(net: nn.Module) -> dict[str, Tensor]:
    """As `values`, with Q(W) for W."""
    return values(net) | {name: q(w).detach() for name, (w, q) in latent_weights(net).items()}


@pytest.mark.parametrize("bits", ["3", "w2a32", "fp"])
def test_ema_without_decay_is_qat(bits):
    plain = trained(QAT if bits != "fp" else FullPrecision, bits)
    assert_equal(trained(ema.EMA, bits, ema.Config(decay=0.0)), plain)


@pytest.mark.parametrize("steps", [5, 6, 7])
@pytest.mark.parametrize("bits", ["3", "fp"])
def test_lookahead_that_goes_all_the_way_is_qat(bits, steps):
    """α = 1, whether or not the last round is whole."""
    plain = trained(QAT if bits != "fp" else FullPrecision, bits, steps=steps)
    assert_equal(trained(lookahead.Lookahead, bits, lookahead.Config(alpha=1.0), steps=steps), plain)


@pytest.mark.parametrize(
    ("average", "decay"),
    [("latent", 0.999), ("quantized", 0.3), *slow(("latent", 0.3), ("quantized", 0.999))],
)
def test_ema_is_the_weighted_sum_of_the_path_of_qat(average, decay):
    """m_T = Σ_t c_t w_t with c_t = (1 − d_t) Π_{s>t} d_s and c_0 = Π d_s; the start enters latent."""
    steps = 6
    path = qat_path(steps, rounded_values if average == "quantized" else values)
    path[0] = qat_path(0)[0]
    d = [0.0, *(min(decay, (1 + t) / (10 + t)) for t in range(1, steps + 1))]
    weights = [(1 - d[t]) * prod(d[t + 1 :]) for t in range(steps + 1)]
    assert sum(weights) == pytest.approx(1)
    net, method = begun(ema.EMA, ema.Config(decay=decay, average=average))
    for x, y in batches(steps):
        method.step(x, y)
    assert all(torch.equal(p, qat_path(steps)[-1][name]) for name, p in values(net).items())  # trains as QAT
    method.end([])
    for name, p in net.named_parameters():
        expected = sum(c * w[name].double() for c, w in zip(weights, path, strict=True))
        torch.testing.assert_close(p.detach().double(), expected, rtol=1e-5, atol=1e-7)  # float32 sums


def test_ema_of_constant_weights_is_these_weights():
    still = Recipe(pretrain_steps=0, steps=6, batch_size=16, lr=0.0)
    net, method = begun(ema.EMA, recipe=still)
    start = values(net)
    for x, y in batches(6):
        method.step(x, y)
    method.end(batches(1))
    assert all(torch.equal(p, start[name]) for name, p in net.named_parameters())


@pytest.mark.parametrize("method_class", [ema.EMA, lookahead.Lookahead])
def test_batchnorm_is_estimated_for_the_deployed_average(method_class):
    net, method = begun(method_class)
    for x, y in batches(6):
        method.step(x, y)
    fast = values(net)
    method.end(batches(3))
    assert any(not torch.equal(p, fast[name]) for name, p in net.named_parameters())
    twin = network("3")
    twin.load_state_dict(net.state_dict())
    reestimate_batchnorm(twin, [x for x, _ in batches(3)])
    assert_equal(twin, net)


@pytest.mark.parametrize("steps", [4, 6, 7])
def test_lookahead_by_hand(steps):
    """k = 3: QAT whose weights are put at φ + α (θ − φ) every third step, and once more at the end."""
    k, alpha = 3, 0.3
    net, method = begun(lookahead.Lookahead, lookahead.Config(k=k, alpha=alpha))
    twin, plain = begun(QAT)
    slow = values(twin)

    @torch.no_grad()
    def synchronise():
        for name, p in twin.named_parameters():
            slow[name] = slow[name] + alpha * (p - slow[name])
            p.copy_(slow[name])

    for step, (x, y) in enumerate(batches(steps), start=1):
        method.step(x, y)
        plain.step(x, y)
        if step % k == 0:
            synchronise()
        for (name, p), q in zip(net.named_parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")
    if steps % k:
        synchronise()
    method.end([])
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method_class", [ema.EMA, lookahead.Lookahead, swad.SWAD])
def test_deploying_in_the_middle_changes_nothing_later(method_class):
    """As the engine does with `select_every`: `end`, then the state put back."""
    nets = []
    for looks in (False, True):
        net = network("3")
        losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 9.0, 9.0, 9.0])
        config = swad.Config(n_tolerance=2) if method_class is swad.SWAD else None
        setup = Setup(model=net, loss=F.cross_entropy, recipe=LONG, val_loss=lambda i=losses: next(i))
        method = method_class(setup, config)
        method.begin(batches(2))
        for x, y in batches(LONG.steps):
            method.step(x, y)
            if looks:
                before = {name: value.clone() for name, value in net.state_dict().items()}
                method.end(batches(1))
                net.load_state_dict(before)
        method.end(batches(3))
        nets.append(net)
    assert_equal(*nets)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: ema.Config(decay=1.5), "ema.decay: expected 0 to 1, got 1.5"),
        (lambda: lookahead.Config(k=0), "lookahead.k: expected at least 1, got 0"),
        (lambda: lookahead.Config(alpha=2.0), "lookahead.alpha"),
    ],
)
def test_settings_out_of_range_are_refused(make, problem):
    with pytest.raises(UsageError, match=problem):
        make()
