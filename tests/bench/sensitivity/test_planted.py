"""A layer that is known to suffer from few bits ranks first."""

import pytest
import torch
from torch import nn

from flatqat.bench.sensitivity.differences import ID, table
from flatqat.bench.sensitivity.images import ImageSet
from flatqat.bench.sensitivity.measure import LayerSweep, Measure
from flatqat.bench.sensitivity.options import spec_of
from flatqat.bench.sensitivity.switches import Form, Switches
from flatqat.console.progress import Progress
from flatqat.data.tensors.image_data import ImageData
from flatqat.models.base import Normalized
from tests.helpers.running import CPU

OUTLIER = 300.0


def network(planted: str) -> Normalized:
    """Four layers; one channel in front of the planted one is scaled up, and that layer's weights back."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        layers = [nn.Conv2d(3, 8, 3), *(nn.Conv2d(8, 8, 3) for _ in range(3))]
        head = nn.Linear(8, 6)
    layers[int(planted) - 1].weight.data[0] *= OUTLIER
    layers[int(planted) - 1].bias.data[0] *= OUTLIER
    layers[int(planted)].weight.data[:, 0] /= OUTLIER
    body = {str(i): nn.Sequential(layer, nn.ReLU()) for i, layer in enumerate(layers)}
    return Normalized(Named(body, head), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).eval()


class Named(nn.Module):
    def __init__(self, body, head) -> None:
        super().__init__()
        self.body, self.head = nn.ModuleDict(body), head

    def forward(self, x):
        for part in self.body.values():
            x = part(x)
        return self.head(x.mean((2, 3)) * 30)


@pytest.mark.parametrize("planted", ["1", "2", "3"])
def test_a_layer_behind_an_outlier_ranks_first(planted):
    model, generator = network(planted), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (64, 3, 16, 16), generator=generator, dtype=torch.uint8)
    with torch.no_grad():
        model.net.head.bias -= model(pixels.float() / 255).mean(0)  # so that predictions differ
        labels = model(pixels.float() / 255).argmax(1)
    images = ImageSet(
        name="id",
        family="id",
        image_set="id",
        data=ImageData.in_memory(pixels, labels, classes=6, source="planted"),
    )
    switches = Switches(model, "minmax")
    switches.observe([pixels.float() / 255])
    sweep = LayerSweep(mode="one", form=Form(spec=spec_of("6", "lsq")))
    with Progress().task("", 1) as advance:
        (found,) = Measure(switches, 6, device=CPU, workers=0).sweep(
            images, [sweep], list(switches.units), advance
        )
    got = table("top1", [images], {"id": found})
    assert got.base[ID].value == 100
    first = min(got.networks, key=lambda name: got.deltas[ID][got.networks.index(name)].value)
    assert first == f"body.{planted}.0"
    divergence = found.divergence[1:].mean(axis=1)
    assert found.networks[1 + int(divergence.argmax())] == first
