"""What runs on a pretended device: nothing that CUDA refuses, and the CPU's results to the bit."""

import pytest
import torch
from torch import Tensor

from flatqat import registry
from flatqat.bench.flatness.measure import flatness_of
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES
from flatqat.data.tensors.image_data import ImageData
from flatqat.methods.base import Setup
from flatqat.methods.qat import QAT
from flatqat.metrics.loss import pixel_cross_entropy
from flatqat.metrics.task import task_of
from flatqat.models.base import build
from flatqat.quant.apply import quantize_
from flatqat.spec import Cell, QuantSpec
from tests.helpers.on_device import RECIPE, same_bits, training

METHODS = registry.names(registry.METHODS)
QUANTIZERS = registry.names(registry.QUANTIZERS)
UNORDERED = {"n2uq": {"cumsum", "index_add"}}
CELL = Cell(suite="digits-c", suite_version=1, model="tiny", method="qat", quant="4", recipe="smoke", seed=0)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("method", ["qat", "sam"])  # of one pass, and of two
def test_every_quantizer_in_training(method: str, quantizer: str) -> None:
    """Sums have the same order every time, except those of the gradients of n2uq's tables."""
    notes = same_bits(training(method, f"4@{quantizer}", ranges="minmax"))
    assert {what.partition(" ")[0] for what in notes.unordered} == UNORDERED.get(quantizer, set())


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_every_quantizer_without_training(quantizer: str) -> None:
    same_bits(training("ptq", f"4@{quantizer}", ranges="percentile", batchnorm=True))
    same_bits(training("adaround", f"4@{quantizer}", ranges="own", iterations=10, images=8))


@pytest.mark.parametrize("method", sorted({*METHODS} - {"qat", "sam", "ptq", "adaround"}))
def test_every_method(method: str) -> None:
    quantizes = registry.load(registry.METHODS, method).quantizes
    notes = same_bits(training(method, "3", **({"ranges": "own"} if quantizes else {})))
    assert not notes.unordered


def test_calibration_by_the_smallest_error() -> None:
    same_bits(training("ptq", "3", ranges="mse"))


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("sam", {"space": "quantized", "scales": True}),
        ("anchor", {"coupling": "elastic"}),
        ("anchor", {"coupling": "dampen", "requantize_every": 2}),
        ("anchor", {"coupling": "dual"}),
        ("ema", {"average": "quantized"}),
    ],
)
def test_variants_of_methods(method: str, settings: dict[str, object]) -> None:
    same_bits(training(method, "3", ranges="minmax", **settings))


def test_training_for_label_maps() -> None:
    def compute(device: torch.device) -> list[Tensor]:
        model = build("tiny-seg", classes=3, seed=0)
        quantize_(model.net, QuantSpec.parse("4"))
        model.to(device)
        x, y = pictures(2).float().div(255).to(device), (pictures(2)[:, 0] % 3).long().to(device)
        method = QAT(Setup(model=model, loss=pixel_cross_entropy, recipe=RECIPE), QAT.Config(ranges="minmax"))
        method.begin([(x, y)])
        losses = [method.step(x, y)["loss"] for _ in range(2)]
        return [*losses, *model.state_dict().values()]

    found = {what.partition(" ")[0] for what in same_bits(compute).unordered}
    assert found == {"nll_loss2d_forward", "nll_loss2d_backward", "upsample_bilinear2d_backward"}


@pytest.mark.parametrize("name", NAMES)
def test_every_corruption(name: str) -> None:
    images, ids = pictures(3), torch.arange(3) + 1000

    def compute(device: torch.device) -> list[Tensor]:
        return [corrupt(images.to(device), ids.to(device), name=name, severity=3, table="cifar")]

    same_bits(compute)


@pytest.mark.parametrize(
    ("task", "logits", "labels"),
    [("classification", (8, 5), (8,)), ("segmentation", (2, 5, 16, 12), (2, 16, 12))],
)
def test_meters(task: str, logits: tuple[int, ...], labels: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(logits, generator=generator), torch.randint(5, labels, generator=generator)

    def compute(device: torch.device) -> list[Tensor]:
        meter = task_of(task).meter(5)
        x, y = (t.to(device) for t in drawn)
        meter.add(x, y)
        return [x, torch.tensor([score.value for score in meter.result()[0].values()])]

    same_bits(compute)


@pytest.mark.parametrize("space", ["quantized", "step_size", pytest.param("latent", marks=pytest.mark.slow)])
def test_flatness(space: str) -> None:
    """The largest eigenvalue by Lanczos, and sharpness by one step and by random ones."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(4, 3, 32, 32, generator=generator), torch.arange(4)

    def compute(device: torch.device) -> list[Tensor]:
        model = build("tiny", classes=10, seed=0)
        quantize_(model.net, QuantSpec.parse("4"))
        setup = Setup(model=model.to(device), loss=pixel_cross_entropy, recipe=RECIPE)
        method = QAT(setup, QAT.Config(ranges="minmax"))
        batch = x.to(device), y.to(device)
        method.begin([batch])
        found = flatness_of(model, [batch], CELL, measures=("lambda_max", "sharpness"), space=space, draws=2)
        return [batch[0], torch.tensor(numbers(found), dtype=torch.float64)]

    same_bits(compute)


def numbers(found: object) -> list[float]:
    """All numbers in nested dicts and lists, in their order."""
    if isinstance(found, dict):
        return [number for value in found.values() for number in numbers(value)]
    if isinstance(found, list):
        return [number for value in found for number in numbers(value)]
    return [float(found)] if isinstance(found, int | float) else []


def test_images_and_labels_on_their_way_to_the_device() -> None:
    data = ImageData.in_memory(pictures(8), torch.arange(8), classes=8, source="drawn")
    noisy = data.map(lambda x, ids: corrupt(x, ids, name="fog", severity=1, table="cifar"))

    def compute(device: torch.device) -> list[Tensor]:
        return [t for batch in noisy.batches(4, device) for t in batch]

    assert not same_bits(compute).waits  # from pinned memory


def pictures(count: int) -> Tensor:
    return torch.randint(
        256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
