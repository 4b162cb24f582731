"""What cannot be traced is refused with the operator or the reason; images of any size where possible."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat.errors import UsageError
from flatqat.export.network import read_network
from flatqat.export.onnx_model import onnx_model
from flatqat.export.trace import trace
from tests.helpers.onnx_runs import quantized, run

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Odd(nn.Module):
    """A network with one operation behind its convolution."""

    def __init__(self, operation) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.operation = operation

    def forward(self, x):
        return self.operation(self.conv(x))


def test_an_operator_that_onnx_lacks_is_named():
    model = quantized(Odd(torch.special.bessel_j0), "4", IMAGES)
    with pytest.raises(UsageError, match=r"Odd: .* got prims.bessel_j0, which torch.onnx cannot"):
        trace(model, IMAGES)


def test_a_branch_on_values_is_a_reason():
    model = quantized(Odd(lambda x: x if x.sum() > 0 else -x), "4", IMAGES)
    with pytest.raises(UsageError, match=r"Odd: torch\.onnx cannot export it: .*data-dependent"):
        trace(model, IMAGES)


@pytest.mark.parametrize(
    ("operation", "axes"),
    [
        (lambda x: F.interpolate(F.avg_pool2d(x, 2), size=x.shape[2:]), ["batch", "height", "width"]),
        (lambda x: x + torch.ones(8, 8), ["batch"]),
    ],
    ids=["any", "8x8 alone"],
)
def test_images_of_any_size_for_segmentation_where_the_network_takes_them(operation, axes):
    model = quantized(Odd(operation), "4", IMAGES, task="segmentation")
    made = onnx_model(model, read_network(model.net), IMAGES)
    assert made.axes == axes
    assert ("images of 8x8 only" in made.notes) == ("height" not in axes)
    for height, width in [(8, 8), (11, 6)] if "height" in axes else [(8, 8)]:
        images = torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = model(images)
        assert run(made.proto, images=images).allclose(expected, atol=1e-5)
    names = [size.dim_param for size in made.proto.graph.input[0].type.tensor_type.shape.dim]
    assert [name for name in names if name] == axes
