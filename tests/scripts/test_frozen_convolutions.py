"""The freezing controls of the second study: what stops when, and that rounding begins there."""

from itertools import pairwise

import pytest
import torch

from flatqat.methods.fp import FullPrecision
from flatqat.quant.apply import quantizers
from scripts.frozen_convolutions import Config, FrozenConvolutions
from tests.helpers.method_runs import RECIPE, assert_equal, batches, begun, trained, values

HALF = RECIPE.steps // 2


def test_what_never_freezes_is_full_precision():
    never = trained(FrozenConvolutions, "fp", Config(start=1.0))
    assert_equal(never, trained(FullPrecision, "fp"))


def path(bits: str, start: float = 0.5):
    """The network after every step, with names as they are without quantizers."""
    net, method = begun(FrozenConvolutions, Config(start=start), bits=bits)
    seen = []
    for x, y in batches(RECIPE.steps):
        method.step(x, y)
        enabled = {q.enabled for _, q in quantizers(net)}
        plain = {
            name.replace("parametrizations.weight.original", "weight"): v for name, v in values(net).items()
        }
        seen.append((plain, enabled))
    return seen


@pytest.mark.parametrize("bits", ["w7a32", "3"])
def test_the_first_half_is_full_precision_to_the_bit(bits):
    full = path("fp")
    for (plain, enabled), (expected, _) in zip(path(bits)[:HALF], full[:HALF], strict=True):
        assert enabled == {False}
        for name, value in expected.items():
            assert torch.equal(plain[name], value), name


@pytest.mark.parametrize("bits", ["fp", "w7a32", "3"])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_from_the_middle_convolutions_and_step_sizes_stay_and_the_rest_trains_rounded(bits, start):
    seen = path(bits, start)[round(start * RECIPE.steps) :]
    for (before, _), (after, enabled) in pairwise(seen):
        assert enabled == (set() if bits == "fp" else {True})
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        stay = {"0.weight", "0.bias", "3.weight", "3.bias"}
        assert not moved & stay
        assert {"1.weight", "1.bias", "6.weight", "6.bias"} <= moved
        assert not [name for name in moved if name.endswith("scale")]


def test_a_checkpoint_before_the_middle_is_rounded_and_training_goes_on_as_if_it_had_not_been():
    net, method = begun(FrozenConvolutions, Config(start=1.0), bits="3")
    (x, y), *rest = batches(RECIPE.steps)
    method.step(x, y)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    method.end(batches(2))
    assert all(q.enabled and q.calibrated for _, q in quantizers(net))
    net.load_state_dict(state)
    for x, y in rest:
        method.step(x, y)
    method.end(batches(3))
    assert_equal(net, trained(FrozenConvolutions, "3", Config(start=1.0)))
