"""How fast the device does what a run consists of besides training: figures, with goals where one was set."""

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from flatqat.bench.flatness.flatness_point import evaluated_at
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES
from flatqat.data.tensors.image_data import ImageData
from flatqat.flatness.derivatives import gradient, hessian_product
from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.params import flatten, gaussian
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized, build
from flatqat.quant.apply import cached_weights, calibrate, quantize_
from flatqat.spec import QuantSpec
from perf.cuda import WIDE
from perf.gpu.equality import CELL
from perf.gpu.ledger import Entry, figure
from perf.gpu.setting import TINY, Setting, pictures
from perf.networks import Network, rule
from perf.rounds import Spread, ratio

BITS = ("fp", "8", "6", "5", "4", "3", "w8", "w6", "w4", "w4a8", "w3a8", "w2a8")


def corruptions(on: Setting) -> Iterator[Entry]:
    """Images a second at severity 3, and waits."""
    sets = [("cifar", 32, 4)] if on.tiny else [("imagenet", 224, 256), ("cifar", 32, 1024)]
    for table, size, count in sets:
        images, ids = pictures(count, size).to(on.device), torch.arange(count, device=on.device)
        for name in list(NAMES)[: 3 if on.tiny else None]:

            def call(name=name, images=images, ids=ids, table=table) -> object:
                return corrupt(images, ids, name=name, severity=3, table=table)

            rate = count / Spread.of(on.timed({name: call})[name]).median
            yield figure(f"{name}, {size} pixels", images_a_second=rate, waits=on.waits(call))


def one_pass(on: Setting) -> Iterator[Entry]:
    """Twelve variants of a network in one pass, beside reading the images once and their forward passes."""
    source, size, count = ("tiny", 32, 8) if on.tiny else ("torchvision:resnet18", 224, 512)
    labels = torch.arange(count) % 10
    data = ImageData.in_memory(pictures(count, size), labels, classes=10, source="drawn")
    data = data.map(lambda x, ids: corrupt(x, ids, name="gaussian_noise", severity=3, table="imagenet"))
    models = [_variant(source, bits, size).to(on.device).eval() for bits in BITS[: 2 if on.tiny else None]]

    def score() -> None:
        scores = [task_of("classification").meter(10) for _ in models]
        for x, y in data.batches(128, on.device):
            for meter, model in zip(scores, models, strict=True):
                meter.add(model.predict(x), y)
        for meter in scores:
            meter.result()

    with torch.inference_mode(), cached_weights(), on.peak() as mebibytes:
        ready = list(data.batches(128, on.device))
        calls = {
            "read": lambda: list(data.batches(128, on.device)),
            "forward": lambda: [model.predict(x) for model in models for x, _ in ready],
            "score": score,
        }
        times = on.timed(calls)
        limit = [read + forward for read, forward in zip(times["read"], times["forward"], strict=True)]
        found = ratio(times["score"], limit).median
        title = f"{len(models)} of {source} / (read + forward passes)"
        yield figure(title, ratio=found, goal="≤ 1.05", mib=mebibytes())


def _variant(source: str, bits: str, size: int) -> Normalized:
    model = build(source, classes=10, seed=0)
    quantize_(model.net, QuantSpec.parse(bits))
    calibrate(model, [pictures(8, size).float() / 255], "minmax")
    return model


def curvature(on: Setting) -> Iterator[Entry]:
    """A Hessian-vector product in gradients, and the largest eigenvalue."""
    big = Network("ResNet-20, 256 images", "cifar:resnet20", 256, 32)
    for network in (TINY,) if on.tiny else (big, Network("ResNet-18 at 224 pixels", WIDE.source, 16, 224)):
        x, y = network.examples(on.device)
        model = rule(network, "qat", "4", device=on.device).model
        with evaluated_at(model, [(x, y)], CELL, space="quantized", acts=True, loss=F.cross_entropy) as point:
            with on.peak() as mebibytes:
                product = hessian_product(point.losses, point.params)
                vector = flatten(gaussian(point.params, torch.Generator().manual_seed(0)))
                calls = {
                    "gradient": lambda point=point: gradient(point.losses, point.params),
                    "product": lambda product=product, vector=vector: product(vector),
                }
                times = on.timed(calls)
                used = mebibytes()
            began = on.clock()
            top = top_eigenvalue(point.losses, point.params, iterations=3 if on.tiny else 30)
            yield figure(
                f"product / gradient, {network}",
                ratio=ratio(times["product"], times["gradient"]).median,
                goal="≤ 2.8",
                mib=used,
                eigenvalue_s=on.clock() - began,
                iterations=top.iterations,
                residual=top.residual,
            )
