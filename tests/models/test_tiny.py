"""The network of the embedded suites, against its formula without operations in place."""

import types

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.models.base import build
from flatqat.quant.apply import calibrate, quantize_
from flatqat.spec import QuantSpec


def plain(net: torch.nn.Module, x: Tensor) -> Tensor:
    x = F.relu(net.bn1(net.conv1(x)))
    x = F.relu(x + net.stage1(x))
    x = F.relu(net.stage2(x))
    x = F.relu(x[:, :, ::2, ::2] + net.stage3(x))
    return net.linear(x.mean((2, 3)))


@pytest.mark.parametrize("bits", ["fp", "4"])
@pytest.mark.parametrize("training", [True, False])
def test_operations_in_place_change_no_digit(bits: str, training: bool) -> None:
    """Of logits, of first and of second derivatives."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(16, 3, 32, 32, generator=generator), torch.randint(10, (16,), generator=generator)

    def results(*, by_formula: bool) -> list[Tensor]:
        model = build("tiny", classes=10, seed=0)
        quantize_(model.net, QuantSpec.parse(bits))
        calibrate(model, [x])
        model.train(training)
        if by_formula:
            model.net.forward = types.MethodType(plain, model.net)
        weights, logits = [p for p in model.parameters() if p.requires_grad], model(x)
        first = torch.autograd.grad(F.cross_entropy(logits, y), weights, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), weights, allow_unused=True)
        return [logits, *first, *(g for g in second if g is not None)]

    pairs = zip(results(by_formula=False), results(by_formula=True), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_no_activation_is_kept_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "relu", lambda x: pytest.fail("an activation in another tensor"))
    build("tiny", classes=10, seed=0)(torch.rand(2, 3, 32, 32))
