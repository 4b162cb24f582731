"""Cost of many models in one pass, as a ratio to one decoding of the images and a forward pass a model.

    python perf/one_pass.py --data-root DATA [--models 12] [--images 96] [--source NAME]

One pass decodes each batch once and runs every model on it. The limit that it is measured against, in the
same run and on one thread, is to decode the same images once, plus each model's forward passes on tensors
that lie ready. Separate runs are what other tools do: they decode for each model. All give the same numbers.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from flatqat import registry
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized, build
from flatqat.quant.apply import cached_weights, calibrate, quantize_
from flatqat.spec import QuantSpec

BITS = ("fp", "8", "6", "5", "4", "3", "w8", "w6", "w4", "w4a8", "w3a8", "w2a8")
BATCH_SIZE = 48


def variants(source: str, count: int, data: ImageData) -> list[Normalized]:
    """One network at `count` widths of bits, calibrated."""
    x, _ = data.batch(torch.arange(16))
    models = []
    for bits in BITS[:count]:
        model = build(source, classes=1000, seed=0)
        quantize_(model.net, QuantSpec.parse(bits))
        calibrate(model, [x], "minmax")
        models.append(model.eval())
    return models


def nll(models: list[Normalized], data: ImageData) -> list[float]:
    """Mean negative log-likelihood of every model, in one pass."""
    meters = [task_of("classification").meter(1000) for _ in models]
    for images, labels in data.batches(BATCH_SIZE):
        for model, one in zip(models, meters, strict=True):
            one.add(model(images), labels)
    return [one.result()[0]["nll"].value or 0.0 for one in meters]


def timed(call: Callable[[], object], rounds: int) -> tuple[float, object]:
    """The fastest of some rounds, in seconds: what else runs on the machine can only slow one down."""
    best, result = float("inf"), None
    for _ in range(rounds):
        began = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - began)
    return best, result


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--models", type=int, default=12, choices=range(1, len(BITS) + 1), metavar="1..12")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", default="torchvision:mobilenet_v3_small")
    args = parser.parse_args()
    torch.set_num_threads(1)
    suite = registry.load(registry.SUITES, "imagenet-v2")
    data = suite.shifts[0].build(args.data_root).sample(args.images)
    data = data.seen(eval_crop(build(args.source, classes=1000, seed=0).eval_transform))
    models = variants(args.source, args.models, data)
    with cached_weights():
        ready = list(data.batches(BATCH_SIZE))
        decode, _ = timed(lambda: list(data.batches(BATCH_SIZE)), args.rounds)
        forward = sum(timed(lambda m=m: [m(x) for x, _ in ready], args.rounds)[0] for m in models)
        one_pass, together = timed(lambda: nll(models, data), args.rounds)
        separate, apart = timed(lambda: [nll([m], data)[0] for m in models], 1)
    assert together == apart, "one pass and separate runs give other numbers"
    print(f"{args.models} variants of {args.source}, {len(data)} images, one thread")
    print(f"one decoding                 {decode:8.2f} s")
    print(f"{args.models:>2} x forward                 {forward:8.2f} s")
    print(
        f"one pass                     {one_pass:8.2f} s   {one_pass / (decode + forward):.3f} of their sum"
    )
    print(f"separate runs                {separate:8.2f} s   {separate / (decode + forward):.3f} of it")


if __name__ == "__main__":
    main()
