"""Flatness of a quantized network: every space against the dense Hessian of a plain one."""

import pytest
import torch
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.flatness.estimators import RADII
from flatqat.bench.flatness.flatness_point import moved_params
from flatqat.bench.flatness.measure import flatness_of
from flatqat.quant.apply import calibrate, latent_weights, quantize_, quantizers
from flatqat.quant.ewgs import EWGS
from flatqat.quant.lsqplus import LSQPlus
from flatqat.spec import QuantSpec
from tests.helpers.quantized_toys import (
    CELL,
    data,
    dense_hessian,
    dense_top,
    deployed,
    plain_network,
    trained,
)


@pytest.mark.parametrize("bits", ["fp", "3", "w4a32", "3@dorefa", "3@apot", "3@n2uq"])
def test_the_quantized_space_is_the_deployed_point(bits):
    """Inputs in floating point: exactly the Hessian of a plain network at Q(w), off by residual² alone."""
    net = trained(bits)
    plain = deployed(net)
    found = flatness_of(net, [data()], CELL, acts=False)
    expected = dense_top(plain)
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
    masks = {name: torch.ones_like(p) for name, p in plain.named_parameters()}
    for name, (w, q) in latent_weights(net).items():
        masks[name.replace("parametrizations.weight.original", "weight")] = q.in_range(w).double()
    mask = torch.cat([part.flatten() for part in masks.values()])
    assert (mask == 0).any(), "the example must clip something"
    hessian = mask[:, None] * dense_hessian(plain) * mask
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
            offset_roles, offset_ends = EWGS.offset_roles, EWGS.offset_ends
            per_channel, delta = False, 0.5

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
