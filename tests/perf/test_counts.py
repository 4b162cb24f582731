"""What perf counts: launches and waits of a step, bytes saved for the backward pass."""

import pytest
import torch

from flatqat.quant.ops import fake_quantize
from perf.kernels import Launches, of_a_step
from perf.memory import saved_bytes
from perf.networks import Network
from perf.peers import PEERS, TensorOperations, TorchLearnable, attach, layers

TINY = Network("tiny", "tiny", 4, 32)


def test_views_and_allocations_are_no_launches() -> None:
    with Launches() as count:
        torch.empty(3).view(1, 3).t().add_(1).mul(2)
    assert count.launched == ["add_", "mul"]


def test_a_number_that_the_host_needs_is_a_wait() -> None:
    with Launches() as count:
        assert torch.ones(1).item() == 1
    assert count.waits == ["_local_scalar_dense"]


def test_a_step_is_counted_the_same_every_time() -> None:
    first, again = of_a_step(TINY, "qat"), of_a_step(TINY, "qat")
    assert first.launched == again.launched
    assert len(first.launched) > len(of_a_step(TINY, "fp").launched)


def test_quantizers_save_bytes_and_parameters_are_not_among_them() -> None:
    full = saved_bytes(TINY, "fp", "fp")
    assert 0 < full < saved_bytes(TINY, "qat", "4")
    wider = Network("tiny", "tiny", 8, 32)
    assert saved_bytes(wider, "fp", "fp") == pytest.approx(2 * full, rel=0.01)


@pytest.mark.parametrize("made", [TensorOperations, TorchLearnable])
def test_peers_round_as_the_product_does(made: type) -> None:
    """Where neither is in doubt, half a step away from the middle between two levels."""
    layer = torch.nn.Conv2d(3, 4, 3)
    peer = made(layer, 4, "weight")
    scale = peer.scale.detach().view(-1, 1, 1, 1)
    w = (layer.weight.detach() / scale).floor().add(0.3).mul(scale)
    torch.testing.assert_close(peer(w).detach(), fake_quantize(w, scale, -8, 7))


@pytest.mark.parametrize("name", PEERS)
def test_every_installed_peer_changes_what_the_network_computes_and_trains(name: str) -> None:
    net, images = TINY.build().net, torch.rand(2, 3, 32, 32)
    full = net.train()(images)
    try:
        PEERS[name](net)
    except ImportError:
        pytest.skip(f"{name} is not installed")
    out = net.train()(images)
    assert not torch.allclose(out, full)
    out.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_first_and_last_layer_have_eight_bits() -> None:
    bits = [bits for _, _, bits in layers(TINY.build().net)]
    assert bits[0] == bits[-1] == 8
    assert set(bits[1:-1]) == {4}


def test_hooks_quantize_the_input() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False))
    attach(net, TensorOperations)
    net[0].on_input.scale.data.fill_(1.0)
    assert torch.equal(net(torch.full((1, 4), 0.4)), torch.zeros(1, 4))
