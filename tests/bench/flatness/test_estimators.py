"""Every estimator on a quantized network, against plain networks, dense Hessians and the grid itself."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat.bench.flatness.estimators import BALLS, ESTIMATORS, FRACTIONS, SIZES, chosen, work
from flatqat.bench.flatness.flatness_point import evaluated_at, moved_params
from flatqat.bench.flatness.landscape_file import LandscapeOptions
from flatqat.bench.flatness.measure import flatness_of, landscape_of
from flatqat.errors import UsageError
from flatqat.flatness.params import gaussian
from flatqat.quant.apply import quantizers
from tests.helpers.quantized_toys import CELL, data, dense_hessian, deployed, plain_network, trained

X, Y = data()


def loss_of(net: nn.Module, tensors: dict[str, torch.Tensor]) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(functional_call(net, tensors, (X,)), Y))


def test_trace_and_density_are_of_the_hessian_at_the_deployed_weights():
    net = trained("3")
    found = flatness_of(net, [(X, Y)], CELL, acts=False, measures=("trace", "density"))
    hessian = dense_hessian(deployed(net))
    trace, density = found["trace"], found["density"]
    assert abs(trace["value"] - float(hessian.trace())) < 4 * trace["stderr"]
    assert trace["stderr"] < 0.1 * trace["value"]
    assert (
        abs(density["mean"] * len(hessian) - float(hessian.trace()))
        < 4 * len(hessian) * density["mean_stderr"]
    )
    top = float(torch.linalg.eigvalsh(hessian)[-1])  # 40 steps converge to it from any start
    assert max(map(max, density["nodes"])) == pytest.approx(top, rel=1e-6)


@pytest.mark.parametrize("acts", [True, False])
def test_flips_move_the_deployed_codes(acts):
    """The same draws written out, on a plain network where inputs are in floating point."""
    net = trained("3")
    found = flatness_of(net, [(X, Y)], CELL, acts=acts, draws=2, measures=("code_flips",))
    with evaluated_at(net, [(X, Y)], CELL, space="quantized", acts=acts) as point:
        for fraction in FRACTIONS:
            generator, rises = torch.Generator().manual_seed(point.seed), []
            for _ in range(2):
                drawn = {
                    name: torch.rand(w.shape, generator=generator) for name, w in sorted(point.lower.items())
                }
                for sign in (1, -1):
                    tensors = dict(point.params)
                    for name, u in drawn.items():
                        code = sign * (
                            (u < fraction / 2).int() - ((u >= fraction / 2) & (u < fraction)).int()
                        )
                        w = tensors[name]
                        tensors[name] = torch.where(code > 0, point.upper[name], w)
                        tensors[name] = torch.where(code < 0, point.lower[name], tensors[name])
                    value = float(point.losses[0](tensors).detach())
                    rises.append(value - found["loss"])
            kept = found["code_flips"][str(fraction)]
            assert kept["value"] == pytest.approx(sum(rises) / 4, rel=1e-9, abs=1e-12)
            assert any(rises)


@pytest.mark.parametrize("bits", ["3", "3@minmax", "w4a32"])
def test_scale_moves_the_step_sizes_of_the_rounded_network(bits):
    """Against the network itself with its step sizes set: learned or not, of weights and of inputs."""
    net = trained(bits)
    found = flatness_of(net, [(X, Y)], CELL, draws=3, measures=("step_size_noise",))
    kept = {id(q.scale): q.scale.detach().clone() for _, q in quantizers(net)}
    params = moved_params(net, "step_size")
    assert len(params) == len(kept)
    before = F.cross_entropy(net(X), Y).item()
    for size in SIZES:
        generator, rises = torch.Generator().manual_seed(found["seed"]), []
        for _ in range(3):
            noise = gaussian(params, generator)
            for sign in (1, -1):
                for name, scale in params.items():
                    scale.copy_(kept[id_of(net, scale)] * (1 + sign * size * noise[name]))
                with torch.no_grad():
                    rises.append(F.cross_entropy(net(X), Y).item() - before)
        for _, q in quantizers(net):
            q.scale.data.copy_(kept[id(q.scale)])
        assert found["step_size_noise"][str(size)]["value"] == pytest.approx(
            sum(rises) / 6, rel=1e-6, abs=1e-9
        )
        assert found["step_size_noise"][str(size)]["stderr"] > 0
    assert found["step_size_noise"]["space"] == "step_size"


def id_of(net, scale):
    """The id of the quantizer's own tensor that shares its storage."""
    return next(id(q.scale) for _, q in quantizers(net) if q.scale.data_ptr() == scale.data_ptr())


def test_the_worst_case_is_no_less_than_one_step_and_its_radii_stand_beside_it():
    found = flatness_of(trained("3"), [(X, Y)], CELL, measures=("sharpness", "apgd"), draws=2)
    assert {ball: entry["rho"] for ball, entry in found["apgd"].items()} == BALLS
    assert found["apgd"]["plain"]["rho"] == found["sharpness_sam"]["rho"]
    assert found["apgd"]["elementwise"]["rho"] == found["sharpness_asam"]["rho"]
    assert found["apgd"]["plain"]["value"] >= found["sharpness_sam"]["value"]
    assert found["apgd"]["elementwise"]["value"] > found["sharpness_asam"]["value"]
    assert found["apgd"]["filter"]["value"] > 0


def test_all_of_it_is_plain_json_and_progress_ends_where_it_should():
    total = 0

    def advance(n):
        nonlocal total
        assert n >= 0
        total += n

    found = flatness_of(trained("3"), [(X, Y)], CELL, measures=tuple(ESTIMATORS), draws=2, advance=advance)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert total == work(tuple(ESTIMATORS), 2)
    for name in ESTIMATORS:
        assert name in found or (name == "sharpness" and "sharpness_avg" in found)


@pytest.mark.parametrize("space", ["latent", "step_size"])
def test_in_other_spaces_what_cannot_be_says_so(space):
    found = flatness_of(
        trained("3"), [(X, Y)], CELL, space=space, measures=("apgd", "code_flips", "step_size_noise"), draws=2
    )
    assert found["code_flips"] == {"value": None, "reason": found["code_flips"]["reason"]}
    assert "expected quantized weights in the space 'quantized'" in found["code_flips"]["reason"]
    assert ("filter" in found["apgd"]) == (space == "latent")
    assert found["step_size_noise"]["space"] == "step_size"


def test_without_quantizers_there_is_nothing_to_flip_or_to_rescale():
    net = plain_network().eval()
    found = flatness_of(net, [(X, Y)], CELL, measures=("trace", "code_flips", "step_size_noise"), draws=2)
    assert found["code_flips"]["value"] is None
    assert found["step_size_noise"] == {"value": None, "reason": "expected step sizes, got none"}
    assert found["trace"]["value"] is not None
    with pytest.raises(UsageError, match="space step_size: expected a quantizer with learned step sizes"):
        flatness_of(net, [(X, Y)], CELL, space="step_size")


@pytest.mark.parametrize("name", ["lambda_max", "trace", "density"])
def test_an_operation_without_second_derivative_costs_what_needs_it_alone(name, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("derivative for aten::hardsigmoid_backward is not implemented\nmore")

    monkeypatch.setattr("flatqat.flatness.derivatives._backward", fail)
    found = flatness_of(trained("3"), [(X, Y)], CELL, measures=(name, "code_flips"), draws=2)
    assert found[name]["value"] is None
    assert found[name]["reason"] == "derivative for aten::hardsigmoid_backward is not implemented"
    assert found["code_flips"]["0.1"]["value"] is not None


def sampled(net, plane, space="quantized", acts=True):
    with evaluated_at(net, [(X, Y)], CELL, space=space, acts=acts) as point:
        return landscape_of(point, plane, lambda n: None)


def test_the_landscape_is_that_of_the_deployed_network():
    net, plane = trained("3"), LandscapeOptions(file=Path("not-written.png"), points=3, span=0.5)
    landscape = sampled(net, plane, acts=False)
    plain = sampled(deployed(net), plane)
    for row, other in zip(landscape.losses, plain.losses, strict=True):
        assert row == pytest.approx(other, rel=1e-9)
    assert landscape.center == pytest.approx(loss_of(deployed(net), {}), rel=1e-9)
    latent = sampled(net, plane, space="latent", acts=False)
    assert latent.center == pytest.approx(landscape.center, rel=1e-9)
    assert latent.losses[0][0] != pytest.approx(landscape.losses[0][0], rel=1e-3)  # rounding is in the loop


def test_names_are_put_in_order_and_checked():
    assert chosen(("code_flips", "lambda_max", "code_flips")) == ("lambda_max", "code_flips")
    with pytest.raises(UsageError, match=r"unknown value of --measure 'flip'.*apgd, code_flips, density"):
        chosen(("flip",))


def test_measuring_changes_nothing_and_repeats():
    net = trained("3")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    names = ("trace", "apgd", "code_flips", "step_size_noise")
    first, second = (flatness_of(net, [(X, Y)], CELL, measures=names, draws=2) for _ in range(2))
    assert first == second
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(q.enabled and not q.ste_only for _, q in quantizers(net))
    assert math.isfinite(first["trace"]["value"])
