"""Frozen BatchNorm keeps the statistics of the start, to the bit, unless weights get another scale.

Only the start itself estimates them, and who asks for it.
"""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from flatqat import registry
from flatqat.methods.base import Setup
from tests.helpers.method_runs import RECIPE, batches, network


def trained(
    name: str, *, frozen: bool, bits: str = "4", **settings: bool
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Buffers and parameters of BatchNorm, before and after."""
    method_class = registry.load(registry.METHODS, name)
    net = network(bits if method_class.quantizes else "fp")
    statistics(net.state_dict())["1.running_mean"].fill_(0.1)  # not those of a fresh layer
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    recipe = replace(RECIPE, frozen_batchnorm=frozen)
    setup = Setup(model=net, loss=F.cross_entropy, recipe=recipe)
    method = method_class(setup, method_class.Config(**settings))
    method.begin(batches(2))
    for x, y in batches(method.total_steps):
        method.step(x, y)
    method.end(batches(3))
    return before, net.state_dict()


def statistics(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {key: tensor for key, tensor in state.items() if "running_" in key or "num_batches" in key}
    assert found
    return found


@pytest.mark.parametrize("name", ["fp", "ptq", "qat", "anchor"])
def test_frozen_statistics_stay_as_they_are(name: str) -> None:
    before, after = trained(name, frozen=True)
    assert all(torch.equal(tensor, after[key]) for key, tensor in statistics(before).items())


@pytest.mark.parametrize("name", ["fp", "qat"])
def test_the_affine_part_learns_all_the_same(name: str) -> None:
    before, after = trained(name, frozen=True)
    scales = [key for key in before if key.removesuffix(".weight") + ".running_mean" in before]
    assert scales
    assert not any(torch.equal(before[key], after[key]) for key in scales)


@pytest.mark.parametrize(("name", "frozen"), [("fp", False), ("qat", False), ("pretrain", True)])
def test_otherwise_and_from_scratch_they_are_estimated(name: str, frozen: bool) -> None:
    before, after = trained(name, frozen=frozen)
    means = [key for key in before if key.endswith("running_mean")]
    assert not any(torch.equal(before[key], after[key]) for key in means)


@pytest.mark.parametrize("name", ["ptq", "adaround"])
def test_who_asks_for_new_statistics_gets_them_from_frozen_ones_too(name: str) -> None:
    before, after = trained(name, frozen=True, batchnorm=True)
    assert not torch.equal(before["1.running_mean"], after["1.running_mean"])
    assert after["1.num_batches_tracked"] == 3


@pytest.mark.parametrize("quantizer", ["dorefa", "pact", "apot", "pot"])
def test_weights_on_another_scale_get_statistics_of_their_own(quantizer: str) -> None:
    before, after = trained("qat", frozen=True, bits=f"4@{quantizer}")
    assert not torch.equal(before["1.running_mean"], after["1.running_mean"])
    assert after["1.num_batches_tracked"] == 3


def test_inputs_alone_leave_weights_on_their_scale() -> None:
    before, after = trained("qat", frozen=True, bits="w32a4@dorefa")
    assert torch.equal(before["1.running_mean"], after["1.running_mean"])
