"""What must not pass for a quantized network: grids that nothing set, single codes; what has no quantizer."""

import pytest
import torch
from torch import nn

from flatqat.errors import TrainingFailed
from flatqat.quant.apply import calibrate, quantize_
from flatqat.quant.audit import audit, checked, summary
from flatqat.spec import QuantSpec

IMAGES = torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Branches(nn.Module):
    """The second branch runs only when it is switched on."""

    def __init__(self):
        super().__init__()
        self.always, self.sometimes, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Linear(64, 3)
        self.both = False

    def forward(self, x):
        y = self.always(x)
        return self.head((y + self.sometimes(x) if self.both else y).flatten(1))


def quantized(net: nn.Module, bits: str = "3") -> nn.Module:
    quantize_(net, QuantSpec.parse(bits, keep="none"))
    calibrate(net, [IMAGES], "mse")
    return net


def test_a_grid_that_nothing_set_fails_with_the_layers_name():
    net = quantized(Branches())
    rows = {(row.layer, row.tensor): row for row in checked(audit(net, IMAGES))}
    assert rows["sometimes", "input"].note == "quantizer never ran", "a layer that is not used is no fault"
    net.both = True
    with pytest.raises(
        TrainingFailed, match="input of sometimes: expected a grid from calibration, got none"
    ):
        checked(audit(net, IMAGES))


def test_weights_of_a_layer_that_is_not_used_do_not_count():
    net = quantized(Branches())
    rows = audit(net, IMAGES)
    assert sum(row.size for row in rows) == net.always.weight.numel() + net.head.weight.numel()
    assert summary(rows)["floating_weights"] == 0


@pytest.mark.parametrize("tensor", ["weight", "input"])
def test_a_single_code_for_values_that_differ_fails_above_two_bits(tensor):
    for bits, fails in (("3", True), ("2", False)):
        net = quantized(nn.Sequential(nn.Conv2d(3, 4, 3)), bits)
        layer = net[0]
        q = layer.input_quantizer if tensor == "input" else layer.parametrizations.weight[0]
        with torch.no_grad():
            q.scale.mul_(1000)
        rows = audit(net, IMAGES)
        assert {row.tensor: row.codes for row in rows}[tensor] == 1
        if not fails:
            assert checked(rows) == rows
            continue
        with pytest.raises(TrainingFailed, match=f"{tensor} of 0: expected up to 8 codes, got a single one"):
            checked(rows)


def test_a_constant_needs_no_more_than_one_code():
    """Zeros behind a dead ReLU, a layer of zeros, a channel with a single weight."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1, groups=4), nn.Conv2d(4, 2, 1))
    with torch.no_grad():
        net[0].bias.fill_(-100)
        net[3].weight.zero_()
    rows = checked(audit(quantized(net), IMAGES))
    notes = {(row.layer, row.tensor): row.note for row in rows if row.note}
    constant = "constant: one code is enough"
    assert notes[("2", "input")] == notes[("2", "weight")] == notes[("3", "weight")] == constant
    assert ("0", "weight") not in notes


def test_the_audit_names_what_has_no_quantizer_and_its_share_of_the_weights():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.table = nn.LSTM(108, 4, batch_first=True), nn.Embedding(5, 4)
            self.pair, self.last = nn.Bilinear(4, 4, 6), nn.Linear(6, 3)

        def forward(self, x):
            out = self.rnn(x.flatten(1)[:, None])[0][:, 0]
            return self.last(self.pair(out, self.table(torch.zeros(len(x), dtype=torch.long))))

    rows = audit(quantized(Mixed()), IMAGES)
    floating = {row.layer: row.note for row in rows if row.bits is None}
    assert floating == {
        "rnn.weight_ih_l0": "floating point: LSTM has no quantizer",
        "rnn.weight_hh_l0": "floating point: LSTM has no quantizer",
        "table.weight": "floating point: Embedding has no quantizer",
        "pair.weight": "floating point: Bilinear has no quantizer",
    }
    kept = 16 * 108 + 16 * 4 + 5 * 4 + 6 * 4 * 4
    assert summary(rows)["floating_weights"] == round(100 * kept / (kept + 18), 2)


def test_all_weights_of_a_full_precision_network_are_in_floating_point():
    rows = audit(Branches(), IMAGES)
    assert summary(rows)["floating_weights"] == 100


def test_a_table_that_a_quantized_layer_shares_its_weight_with_is_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(108, 8), nn.Linear(8, 5))
    net[1].table = nn.Embedding(5, 8)
    net[1].table.weight = net[2].weight
    rows = audit(quantized(net), IMAGES)
    assert [row.layer for row in rows if row.bits is None] == ["1.table.weight"]
    assert summary(rows)["floating_weights"] == 0, "the weight is counted where it is quantized"


@pytest.mark.parametrize("quantizer", ["lsq", "lsqplus", "n2uq"])
def test_zeros_on_the_end_of_a_grid_are_not_clipped(quantizer):
    """They are half of what a ReLU returns; at most the largest values are not quite the last level."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    quantize_(net, QuantSpec.parse(f"3@{quantizer}", keep="none"))
    calibrate(net, [IMAGES], "minmax")
    (clipped,) = [row.clipped for row in audit(net, IMAGES) if (row.layer, row.tensor) == ("2", "input")]
    assert clipped < 1
