"""What methods take from quantizers: which parameters are decayed, and Q(W) in the scale of W."""

import pytest
import torch
from torch.nn import functional as F

from flatqat import registry
from flatqat.methods.anchor import Anchor, Config
from flatqat.methods.base import Setup
from flatqat.methods.ema import EMA
from flatqat.methods.qat import QAT
from flatqat.quant.apply import latent_weights, quantizers
from flatqat.spec import Recipe
from tests.helpers.method_runs import batches, network

PLAIN = Recipe(pretrain_steps=0, steps=4, batch_size=16, lr=0.05, momentum=0.0, weight_decay=0.0)
NORMALIZING = ["dorefa", "pact", "apot", "pot"]


def method(method_class, bits: str, recipe: Recipe = PLAIN, config=None):
    made = method_class(Setup(model=network(bits), loss=F.cross_entropy, recipe=recipe), config)
    made.begin(batches(1))
    return made


@pytest.mark.parametrize(
    ("quantizer", "decayed"), [("lsqplus", 0), ("ewgs", 0), ("n2uq", 0), ("pact", 1), ("apot", 2), ("pot", 2)]
)
def test_what_quantizers_learn_is_decayed_only_if_they_say_so(quantizer, decayed):
    made = method(QAT, f"3@{quantizer}")
    groups = made.optimizer.param_groups
    on = {id(p) for p in groups[0]["params"]}
    learned = [p for _, q in quantizers(made.model) for p in q.parameters()]
    assert sum(id(p) in on for p in learned) == decayed
    weights = {id(w) for w, _ in latent_weights(made.model).values()}
    assert on - {id(p) for p in learned} == weights
    assert len(on) + len(groups[1]["params"]) == len(list(made.model.parameters()))


def test_weight_decay_draws_alpha_of_pact_down():
    """Nothing is clipped at α = 10, so its only gradient is that of λ α² / 2: α ← α (1 − lr λ)."""
    recipe = Recipe(pretrain_steps=0, steps=4, lr=0.1, momentum=0.0, weight_decay=0.5, schedule="constant")
    made = method(QAT, "3@pact", recipe, QAT.Config(ranges="own"))
    (alpha,) = (
        q.scale for _, q in quantizers(made.model) if q.role == "input" and "scale" in q.weight_decayed
    )
    for x, y in batches(3):
        made.step(x, y)
    assert alpha.item() == pytest.approx(10 * (1 - 0.1 * 0.5) ** 3, rel=1e-6)


@pytest.mark.parametrize("quantizer", registry.names(registry.QUANTIZERS))
def test_every_quantizer_trains_in_bfloat16(quantizer):
    made = QAT(Setup(model=network(f"3@{quantizer}"), loss=F.cross_entropy, recipe=PLAIN, amp=True))
    made.begin(batches(1))
    assert all(made.step(x, y)["loss"].isfinite() for x, y in batches(3))
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in made.model.parameters())


def middle(model) -> tuple[torch.Tensor, torch.nn.Module]:
    """The layer that is not held at 8 bits."""
    return latent_weights(model)["3.parametrizations.weight.original"]


@pytest.mark.parametrize("quantizer", registry.names(registry.QUANTIZERS))
def test_in_weight_scale_is_as_near_to_the_weights_as_the_grid_is_fine(quantizer):
    """Where weights are normalized Q(W) itself is not: it is several times as large.

    A power of two is off by a third at most, 16% in the mean of squares; sums of them have gaps near α.
    """
    w, q = middle(method(Anchor, f"8@{quantizer}").model)
    error = (q.in_weight_scale(w) - w).norm() / w.norm()
    assert error < {"pot": 0.2, "apot": 0.04}.get(quantizer, 0.02)
    assert ((q(w) - w).norm() / w.norm() > 1) == (quantizer in NORMALIZING)


@pytest.mark.parametrize("quantizer", NORMALIZING)
def test_a_quantizer_that_is_disabled_carries_nothing_back(quantizer):
    w, q = middle(method(Anchor, f"3@{quantizer}").model)
    q.enabled = False
    assert torch.equal(q.in_weight_scale(w), w)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("quantizer", ["dorefa", "pact"])
def test_what_is_in_weight_scale_has_the_codes_of_the_weights(quantizer, bits):
    w, q = middle(method(Anchor, f"{bits}@{quantizer}").model)
    assert torch.equal(q.codes(q.in_weight_scale(w)), q.codes(w))


def test_a_weight_so_large_that_its_tanh_is_one_is_in_weight_scale_finite():
    q = registry.load(registry.QUANTIZERS, "dorefa")(bits=3, role="weight")
    w = torch.tensor([0.1, -0.4, 20.0, -30.0])
    assert w[2:].tanh().abs().tolist() == [1, 1]
    assert q.in_weight_scale(w).isfinite().all()
    assert torch.equal(q.codes(q.in_weight_scale(w)), q.codes(w))


@pytest.mark.parametrize("coupling", ["ema", "elastic", "dampen"])
@pytest.mark.parametrize("quantizer", ["dorefa", "apot"])
def test_anchor_step_by_hand_in_the_scale_of_the_weights(quantizer, coupling):
    """DoReFa: W_q = atanh(max|tanh W| · Q(W)); APoT: mean + deviation · Q(W). Else as for any quantizer."""
    strength, beta = 0.3, 0.25
    made = method(Anchor, f"3@{quantizer}", config=Config(coupling=coupling, strength=strength, beta=beta))

    def carried(w: torch.Tensor, q) -> torch.Tensor:
        if quantizer == "dorefa":
            return torch.atanh(w.tanh().abs().max() * q(w))
        return w.mean() + w.std() * q(w)

    index = list(latent_weights(made.model)).index("3.parametrizations.weight.original")
    for x, y in batches(2):
        w, q = made.weights[index]
        before, anchor = w.detach().clone(), made.anchors[index].clone()
        inside, w_quant = q.in_range(w), carried(w, q).detach()
        twin = network(f"3@{quantizer}")
        twin.load_state_dict(made.model.state_dict())
        twin.train()
        F.cross_entropy(twin(x), y).backward()
        rate = made.learning_rate
        made.step(x, y)
        pull = {"ema": (w_quant - anchor) * inside, "elastic": before - anchor, "dampen": before - w_quant}
        expected = before - rate * (middle(twin)[0].grad + 2 * strength * pull[coupling])
        torch.testing.assert_close(w.detach(), expected, rtol=0, atol=1e-6)
        target = carried(w, q).detach() if coupling == "ema" else w.detach()
        moved = (1 - beta) * anchor + beta * target
        torch.testing.assert_close(made.anchors[index], moved, rtol=0, atol=1e-6)


@pytest.mark.parametrize("quantizer", NORMALIZING)
@pytest.mark.parametrize(
    ("method_class", "config"),
    [(Anchor, Config(beta=0.5)), (EMA, EMA.Config(decay=0.5, average="quantized"))],
    ids=["anchor", "ema"],
)
def test_what_is_deployed_in_place_of_the_weights_has_their_scale(quantizer, method_class, config):
    """Else averages of levels in [−1, 1] would stand where weights of a tenth of that stood."""
    made = method(method_class, f"3@{quantizer}", config=config)
    start = middle(made.model)[0].detach().norm().item()
    for x, y in batches(4):
        made.step(x, y)
    latent = middle(made.model)[0].detach().clone()
    made.end(batches(1))
    w, q = middle(made.model)
    assert w.norm().item() == pytest.approx(start, rel=0.3)
    same = (q.codes(w) == q.codes(latent)).float().mean().item()
    assert same > 0.8
