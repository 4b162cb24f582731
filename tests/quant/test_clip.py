"""`scripts/clip.py`: the ends and the gradients of LSQ, without its rounding."""

import pytest
import torch

from flatqat import registry
from flatqat.quant.apply import calibrate, quantize_, quantizers
from flatqat.quant.lsq import LSQ
from flatqat.spec import QuantSpec
from scripts.clip import Clip
from tests.helpers import HELPERS, ROOT
from tests.helpers.method_runs import batches
from tests.helpers.observers import observed

CLIP = ROOT / "scripts" / "clip.py"
NORMAL = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
CASES = [
    ("weight", (6, 1), NORMAL),
    ("weight", (), NORMAL),
    ("input", (), NORMAL),
    ("input", (), NORMAL.relu()),
]
RANGES = ["own", "minmax", "mse", "percentile"]


def pair(role, scale_shape, values, bits, ranges):
    """A clip and an LSQ that are calibrated on these values."""
    made = [kind(bits=bits, role=role, scale_shape=scale_shape) for kind in (Clip, LSQ)]
    for q in made:
        q.calibrate(observed(values, scale_shape=scale_shape), ranges)
    return made


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("case", CASES, ids=["per channel", "weight", "signed", "unsigned"])
def test_range_and_gradients_are_those_of_lsq_and_values_those_of_a_clip(case, bits, ranges):
    clip, lsq = pair(*case, bits, ranges)
    assert clip.calibrated
    assert (clip.qmin, clip.qmax) == (lsq.qmin, lsq.qmax)
    assert clip.state_dict().keys() == lsq.state_dict().keys()
    assert all(map(torch.equal, clip.state_dict().values(), lsq.state_dict().values()))
    v, upstream = case[2] * 1.5, torch.linspace(-1, 1, NORMAL.numel()).view_as(NORMAL)
    found = {}
    for q in (clip, lsq):
        leaf = v.clone().requires_grad_()
        value = q(leaf)
        found[q] = (value.detach(), *torch.autograd.grad(value, [leaf, q.scale], upstream))
    value, *gradients = found[clip]
    ends = torch.broadcast_tensors(lsq.scale.detach() * lsq.qmin, lsq.scale.detach() * lsq.qmax, v)[:2]
    assert torch.equal(value, torch.minimum(torch.maximum(v, ends[0]), ends[1]))
    assert all(map(torch.equal, gradients, found[lsq][1:]))
    assert gradients[1].abs().max() > 0
    assert not torch.equal(value, found[lsq][0])


def test_ranges_by_mse_clip_something():
    """As those of LSQ do; the smallest error of a clip is that of the whole range."""
    searched, whole = (pair("input", (), NORMAL, 3, ranges)[0] for ranges in ("mse", "minmax"))
    assert searched.scale < 0.9 * whole.scale
    assert searched(NORMAL).max() < NORMAL.max()


def test_a_network_is_calibrated_alike_and_its_edges_are_lsq():
    registry.add_plugin(CLIP)
    found = []
    for bits in ("w32a3@clip", "w32a3"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(3)))
        quantize_(net, QuantSpec.parse(bits))
        calibrate(net, [x[:, 0, :4, :4] for x, _ in batches(2)], "mse")
        found.append(dict(quantizers(net)))
    clip, lsq = found
    assert [type(q).__name__ for q in clip.values()] == ["LSQ", "Clip", "LSQ"]
    assert [q.scale.item() for q in clip.values()] == [q.scale.item() for q in lsq.values()]


def test_it_runs(flatqat, tmp_path):
    done = flatqat(
        "bench", "run", "--plugin", CLIP, "--plugin", HELPERS / "toy.py", "--suite", "toy", "--method", "qat",
        "--bits", "w32a3@clip,w32a3", "--seeds", "1", "--no-flatness", "--results", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = [line.split()[2:] for line in done.out.splitlines() if "w32a3" in line and line.startswith(" qat")]
    assert len(rows) == 2
    assert rows[0] != rows[1]


def test_the_checks_of_plugins_say_that_its_values_are_no_grid(flatqat):
    done = flatqat("test", CLIP)
    failed = [line for line in done.out.splitlines() if line.startswith("FAILED")]
    assert done.code == 1
    assert "There are at most 2^bits levels" in failed[0]
    assert len(failed) == 3
