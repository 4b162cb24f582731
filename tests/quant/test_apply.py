"""Quantizers on a whole model: which layers, which bits, caching, the audit."""

import pytest
import torch
from torch import nn

from flatqat import registry
from flatqat.errors import TrainingFailed, UsageError
from flatqat.models.base import build
from flatqat.quant.apply import (
    cached_weights,
    calibrate,
    disabled,
    latent_weights,
    quantizable,
    quantize_,
    quantizers,
)
from flatqat.quant.audit import audit
from flatqat.spec import QuantSpec
from tests.helpers.observers import observed


def images(n: int = 8) -> torch.Tensor:
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def quantized(bits: str, model: str = "tiny") -> nn.Module:
    net = build(model, classes=10, seed=0).net
    quantize_(net, QuantSpec.parse(bits))
    calibrate(net, [images()])
    return net.eval()


def test_first_and_last_layers_are_kept_at_eight_bits():
    widths = {(name, q.role): q.bits for name, q in quantizers(quantized("3"))}
    assert widths["conv1", "weight"] == widths["linear", "input"] == 8
    assert {bits for (name, _), bits in widths.items() if name.startswith("stage")} == {3}


class Caller(nn.Module):
    """Calls its layers with their input by name, as in `layer(input=x)`, or by position."""

    def __init__(self, by_name: bool) -> None:
        super().__init__()
        self.conv, self.head, self.by_name = nn.Conv2d(3, 8, 3, stride=4), nn.Linear(512, 10), by_name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.by_name:
            return self.head(input=self.conv(input=x).flatten(1))
        return self.head(self.conv(x).flatten(1))


def test_inputs_that_are_given_by_name_are_quantized_as_others():
    start = Caller(by_name=False).state_dict()
    scores = []
    for by_name in (False, True):
        net = Caller(by_name)
        net.load_state_dict(start)
        quantize_(net, QuantSpec.parse("3", keep="none"))
        calibrate(net, [images()])
        assert all(quantizer.calibrated for _, quantizer in quantizers(net))
        scores.append(net.eval()(images()))
    assert torch.equal(*scores)
    with disabled(net, roles=("input",)):
        assert not torch.equal(net(images()), scores[1])


def test_keep_takes_patterns_and_refuses_what_matches_nothing():
    net = build("tiny", classes=10, seed=0).net
    quantize_(net, QuantSpec(weight_bits=2, act_bits=2, keep=("stage1*",)))
    assert {q.bits for name, q in quantizers(net) if name.startswith("stage1")} == {8}
    assert {q.bits for name, q in quantizers(net) if name == "conv1"} == {2}
    with pytest.raises(UsageError, match="'nothing\\*'"):
        quantize_(build("tiny", classes=10, seed=0).net, QuantSpec(weight_bits=2, keep=("nothing*",)))


def test_a_model_without_layers_is_refused():
    with pytest.raises(UsageError, match="expected convolution or linear layers"):
        quantize_(nn.ReLU(), QuantSpec.parse("4"))


def test_weights_and_inputs_of_every_layer_lie_on_their_grids():
    net = quantized("4")
    seen = {}
    handles = [
        layer.register_forward_hook(lambda m, args, out, name=name: seen.update({name: (m.weight, args[0])}))
        for name, layer in quantizable(net).items()
    ]
    net(images())
    for handle in handles:
        handle.remove()
    by_tensor = {(name, q.role): q for name, q in quantizers(net)}
    for name, (weight, inputs) in seen.items():
        for tensor, role in ((weight, "weight"), (inputs, "input")):
            q = by_tensor[name, role]
            assert torch.equal(tensor, q.dequantize(q.codes(tensor))), (name, role)
            assert len(tensor.unique()) > 1


def test_registration_does_not_observe():
    net = build("tiny", classes=10, seed=0).net
    quantize_(net, QuantSpec.parse("4"))
    assert all(torch.equal(q.scale, torch.ones_like(q.scale)) for _, q in quantizers(net))


def test_calibration_sees_full_precision_and_leaves_the_mode_alone():
    net = build("tiny", classes=10, seed=0).net
    plain = build("tiny", classes=10, seed=0).net.eval()
    quantize_(net, QuantSpec.parse("2"))
    net.train()
    calibrate(net, [images()])
    assert net.training
    inputs = []
    plain.stage1[0].register_forward_hook(lambda m, args, out: inputs.append(args[0]))
    plain(images())
    expected = 2 * inputs[0].abs().mean() / 3**0.5
    torch.testing.assert_close(net.stage1[0].input_quantizer.scale.detach(), expected)


class InPlace(nn.Module):
    """Changes the input of its second layer after that has used it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.second(x)
        return self.head(x.mul_(0.01) + y).flatten(1)


@pytest.mark.parametrize("ranges", ["mse", "percentile", "minmax", "own"])
def test_calibration_sees_inputs_as_layers_do_whatever_changes_them_later(ranges):
    """The range is that of what the first layer returns, and not of a hundredth of it."""
    net = InPlace()
    quantize_(net, QuantSpec.parse("4", keep="none"))
    with torch.no_grad(), disabled(net):
        alone = net.first(images())
    calibrate(net, [images()], ranges)
    found = dict(net.named_modules())["second.input_quantizer"]
    expected = registry.load(registry.QUANTIZERS, "lsq")(bits=4, role="input")
    expected.calibrate(observed(alone), ranges)
    torch.testing.assert_close(found.scale, expected.scale)


@pytest.mark.parametrize("quantizer", ["lsq", "minmax", "n2uq", "apot"])
@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf])
def test_calibration_names_the_layer_whose_values_are_not_finite(quantizer, spoilt):
    net = build("tiny", classes=10, seed=0).net
    quantize_(net, QuantSpec.parse(f"4@{quantizer}"))
    pictures = images()
    pictures[3, 0, 5, 5] = spoilt
    with pytest.raises(TrainingFailed, match="the input of conv1: expected finite values to calibrate on"):
        calibrate(net, [images(), pictures])
    assert all(q.observer is None for _, q in quantizers(net))
    with torch.no_grad():
        net.stage1[0].parametrizations.weight.original[0, 0, 0, 0] = spoilt
    with pytest.raises(TrainingFailed, match=r"stage1\.0\..*weight.*: expected finite values"):
        calibrate(net, [images()])


def test_disabled_is_full_precision_and_comes_back():
    net, plain = quantized("2"), build("tiny", classes=10, seed=0).net.eval()
    before = net(images())
    with disabled(net):
        assert torch.equal(net(images()), plain(images()))
    assert torch.equal(net(images()), before)
    assert not torch.equal(before, plain(images()))


def test_what_was_off_before_stays_off():
    net = quantized("2")
    with disabled(net, roles=("weight",)):
        with disabled(net):
            pass
        assert {(q.role, q.enabled) for _, q in quantizers(net)} == {("weight", False), ("input", True)}
    assert all(q.enabled for _, q in quantizers(net))


def test_a_grid_for_the_whole_layer_if_asked_for():
    net = build("tiny", classes=10, seed=0).net
    quantize_(net, QuantSpec(weight_bits=4, per_channel=False))
    assert {q.scale.shape for _, q in quantizers(net)} == {()}


def test_cached_weights_gives_the_same_output_and_rounds_each_weight_once():
    net = quantized("4")
    calls = []
    for _, q in quantizers(net):
        if q.role == "weight":
            q.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        expected = net(images())
        calls.clear()
        with cached_weights():
            assert torch.equal(net(images()), expected)
            assert torch.equal(net(images()), expected)
    assert len(calls) == len(latent_weights(net))


def test_state_dict_round_trip_gives_the_same_outputs():
    net = quantized("w3a4@minmax")
    fresh = build("tiny", classes=10, seed=1).net
    quantize_(fresh, QuantSpec.parse("w3a4@minmax"))
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(net(images()), fresh.eval()(images()))


def test_audit_counts_real_codes():
    net = quantized("3")
    rows = {(row.layer, row.tensor): row for row in audit(net, images())}
    assert rows["stage1.0", "weight"].levels == 8
    assert 1 < rows["stage1.0", "weight"].codes <= 8
    weight = net.stage1[0].weight
    assert rows["stage1.0", "weight"].codes == max(len(filter_.unique()) for filter_ in weight)
    assert rows["linear", "weight"].levels == 256
    assert all(row.note == "" for row in rows.values())


def test_audit_counts_clipped_values():
    net = quantized("3")
    (q,) = (q for name, q in quantizers(net) if name == "stage1.0" and q.role == "weight")
    latent = net.stage1[0].parametrizations.weight.original
    q.set_scale(torch.full_like(q.scale, 1e-6))
    rows = {(row.layer, row.tensor): row for row in audit(net, images())}
    assert rows["stage1.0", "weight"].clipped == pytest.approx(100 * (latent != 0).float().mean().item())


def test_audit_shows_layers_in_floating_point():
    net = quantized("w4a32")
    rows = [row for row in audit(net, images()) if row.tensor == "input"]
    assert rows
    assert all(row.bits is None and row.note == "floating point" for row in rows)


def test_audit_shows_a_quantizer_that_never_ran():
    class Bypass(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.bypassed = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x) + nn.functional.conv2d(x, self.bypassed.weight)

    net = Bypass()
    quantize_(net, QuantSpec.parse("4"))
    rows = {(row.layer, row.tensor): row for row in audit(net, images())}
    assert rows["bypassed", "input"].note == "quantizer never ran"
    assert rows["bypassed", "weight"].bits == 8


def test_heads_that_training_alone_runs_stay_in_floating_point():
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)
            self.second = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))
            self.second.training_only = True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x))

    net = TwoHeads()
    assert list(quantizable(net)) == ["body", "head"]
    quantize_(net, QuantSpec.parse("4", keep="last"))
    assert {name: q.bits for name, q in quantizers(net)} == {"body": 4, "head": 8}
    calibrate(net, [images()])
    assert {row.layer for row in audit(net, images())} == {"body", "head"}


def test_a_network_that_is_one_layer_has_its_quantizers_under_the_empty_name():
    net = nn.Conv2d(3, 4, 1)
    quantize_(net, QuantSpec.parse("4", keep="none"))
    found = {quantizer.role: name for name, quantizer in quantizers(net)}
    assert found == {"input": "", "weight": ""}
