"""Points at which flatness is measured: which tensors move, their grid neighbors, and the images."""

import pytest
import torch
from torch import nn

from flatqat.bench.flatness.flatness_point import evaluated_at, flatness_batches, moved_params, neighbors
from flatqat.bench.flatness.measure import flatness_of
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData
from flatqat.metrics.loss import pixel_cross_entropy
from flatqat.quant.apply import latent_weights, quantize_
from flatqat.spec import Cell, EvalTransform, QuantSpec
from tests.helpers.quantized_toys import CELL, data, trained


@pytest.mark.parametrize("bits", ["3", "3@minmax", "3@apot", "3@n2uq", "3@dorefa"])
def test_neighbors_are_the_next_levels_of_the_grid_and_clipped_at_its_ends(bits):
    """Against a list of all levels, evenly spaced or not."""
    net = trained(bits)
    ends = 0
    for name, (lower, w, upper) in triples(net).items():
        _, q = latent_weights(net)[name]
        codes = torch.ones_like(w, dtype=torch.int32)
        levels = torch.stack([q.dequantize(code * codes) for code in range(q.qmin, q.qmax + 1)])
        below = torch.where(levels < w, levels, -torch.inf).amax(0)
        above = torch.where(levels > w, levels, torch.inf).amin(0)
        assert torch.equal(lower, torch.where(below.isinf(), w, below))
        assert torch.equal(upper, torch.where(above.isinf(), w, above))
        ends += int(below.isinf().sum() + above.isinf().sum())
    assert ends > 0, "the example must reach the ends"


def triples(net):
    lower, upper = neighbors(net)
    params = moved_params(net, "quantized")
    return {name: (lower[name], params[name], upper[name]) for name in lower}


def test_a_filter_of_zeros_stays():
    net = trained("3")
    name, (w, _) = next(iter(latent_weights(net).items()))
    w.data[1] = 0
    lower, w_quant, upper = triples(net)[name]
    assert not lower[1].any()
    assert not upper[1].any()
    assert (lower[0] < w_quant[0]).any()
    assert (
        flatness_of(net, [data()], CELL, draws=2, measures=("code_flips",))["code_flips"]["zero_filters"] == 1
    )


def test_batches_are_the_same_for_every_method_and_of_equal_size():
    images = torch.randint(256, (600, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    wrapped = ImageData.in_memory(images, torch.zeros(600, dtype=torch.long), classes=1, source="test")
    first = flatness_batches(CELL, wrapped, 520, "cpu", view=eval_crop(EvalTransform()))
    second = flatness_batches(
        Cell(**{**CELL.to_dict(), "method": "anchor", "quant": "2"}),
        wrapped,
        520,
        "cpu",
        view=eval_crop(EvalTransform()),
    )
    assert [len(y) for _, y in first] == [256, 256]
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, second, strict=True))


def test_large_images_come_in_smaller_chunks():
    """A network of any depth keeps as many activations a value: 40 of 224 pixels as 2 chunks of 16."""
    images = torch.zeros(40, 3, 224, 224, dtype=torch.uint8)
    wrapped = ImageData.in_memory(images, torch.zeros(40, dtype=torch.long), classes=1, source="test")
    found = flatness_batches(CELL, wrapped, 40, "cpu", view=eval_crop(EvalTransform()))
    assert [len(y) for _, y in found] == [16, 16]


def test_heads_that_only_training_runs_are_not_moved():
    """They change no loss, and would only add to the norm of the weights."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 2, 1)), nn.Conv2d(4, 3, 1))
    assert set(moved_params(net, "quantized")) == {
        f"{at}.{part}" for at in ("0", "1.0", "2") for part in ("weight", "bias")
    }
    net[1].training_only = True
    assert set(moved_params(net, "quantized")) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    quantize_(net, QuantSpec.parse("4"))
    assert "1.0.weight" not in moved_params(net, "latent")
    assert "0.parametrizations.weight.original" in moved_params(net, "latent")


def test_large_label_maps_come_one_by_one():
    """Two of 512x1024 pixels are the most that fits."""
    pixels = torch.zeros(5, 4, 512, 1024, dtype=torch.uint8)
    data = ImageData.with_label_maps(pixels, classes=3, source="test")
    found = flatness_batches(CELL, data, 5, "cpu", view=eval_crop(EvalTransform()))
    assert [len(y) for _, y in found] == [2, 2]


@pytest.mark.parametrize(
    ("quantizer", "learned"), [("lsqplus", {"scale", "offset"}), ("n2uq", {"scale", "start", "widths"})]
)
def test_the_scale_space_moves_all_that_quantizers_learn(quantizer, learned):
    net = trained(f"3@{quantizer}")
    names = set(moved_params(net, "step_size"))
    assert {name.rpartition(".")[2] for name in names} == learned
    assert not names & set(moved_params(net, "latent"))
    assert len(names) + len(moved_params(net, "latent")) == len(list(net.parameters()))


@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
def test_chunks_of_any_size_have_the_mean_loss_of_the_batches(chunk):
    """Also where parts are of unequal size, and some have few labeled pixels or none."""
    net = nn.Conv2d(3, 5, 1).requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, 6, 6, generator=generator)
    labels = torch.randint(5, (8, 6, 6), generator=generator)
    labels[1, :5], labels[2] = 255, 255
    batches = list(zip(images.split(4), labels.split(4), strict=True))

    def mean_loss(chunk):
        options = {"space": "latent", "acts": True, "loss": pixel_cross_entropy, "chunk": chunk}
        with evaluated_at(net, batches, CELL, **options) as at:
            assert len(at.losses) == 2 * -(-4 // (chunk or 4))
            return sum(float(loss(at.params)) for loss in at.losses) / len(at.losses)

    assert mean_loss(chunk) == pytest.approx(mean_loss(None), rel=1e-6)  # float32 losses
    whole = [float(pixel_cross_entropy(net(x), y)) for x, y in batches]
    assert mean_loss(None) == pytest.approx(sum(whole) / 2, rel=1e-6)
