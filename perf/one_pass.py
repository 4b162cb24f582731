"""Cost of one pass of many models over a shift, as a ratio to that of its parts.

    python perf/one_pass.py --data-root DATA [--models 12] [--images 96] [--rounds 5] [--source NAME]

The parts are one decoding, one corruption, and the forward passes of each model. A pass is the engine's own
`score`, which also meters predictions and stores scores. CPU time of the process, in which no threads decode.
"""

import argparse
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import torch
from safetensors.torch import save_file

from flatqat.bench.cell.session import Session
from flatqat.bench.engine.evaluate import Together
from flatqat.bench.engine.train import train
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.console.progress import Progress
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.imagenet.clean import scored
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData
from flatqat.models.base import build
from flatqat.quant.apply import cached_weights
from flatqat.spec import EvalTransform
from flatqat.suite import Shift

BITS = ("8", "6", "5", "4", "3", "w8", "w6", "w4", "w4a8", "w3a8", "w2a8")
QUICK = {"calibration_batches": "1", "batch_size": "16"}
BATCH_SIZE = 55  # the engine's at 224 pixels
SOURCE = "torchvision:mobilenet_v3_small"

corrupted = partial(corrupt, name="gaussian_noise", severity=3, table="imagenet")


def together(data_root: Path, folder: Path, *, models: int, images: int, source: str) -> Together:
    """The engine with one network in full precision and at `models` - 1 widths of bits, calibrated."""
    weights = folder / "weights.safetensors"
    save_file(build(source, classes=1000, seed=0).net.state_dict(), weights)
    request = Request(
        suites=("imagenet-c-live",), models=(source,), methods=("fp", "ptq"), bits=BITS[: models - 1],
        seeds=(0,), recipe="eval", weights=weights, data_root=data_root, results=folder / "results",
        limit=images, spaces=(), settings={"recipe": QUICK, "ptq": {"ranges": "minmax"}},
    )  # fmt: skip
    session, plan = Session.open(request, Progress()), make_plan(request)
    for job in plan.scored():
        train(job, session)
    engine = Together(plan.scored()[:models], session, Troubles(Progress()))
    engine.restore()
    return engine


@torch.inference_mode()
def in_parts(engine: Together, data: ImageData) -> float:
    """Seconds of decoding, of corrupting, and of the models' forward passes, batch by batch."""
    total = 0.0
    with cached_weights():
        for index in torch.arange(len(data)).split(BATCH_SIZE):
            began = process_time()
            x = corrupted(data.fetch(index), data.ids[index]).float() / 255
            for model in engine.models.values():
                model(x)
            total += process_time() - began
    return total


def ratios(
    data_root: Path, rounds: int = 5, *, models: int = 12, images: int = 96, source: str = SOURCE
) -> list[float]:
    """CPU seconds of a pass by those of its parts, taken in turns; a ratio each round."""

    def build(root: Path | None) -> ImageData:
        return scored(root).transformed(eval_crop(EvalTransform())).map(corrupted)  # not `decoded_once`

    found = []
    with TemporaryDirectory() as folder:
        engine = together(data_root, Path(folder), models=models, images=images, source=source)
        for number in range(rounds + 1):  # the first one warms up
            parts = in_parts(engine, build(data_root).sample(images))
            began = process_time()
            engine.score([Shift(name=f"noise/{number}", family="noise", build=build)])
            found.append((process_time() - began) / parts)
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--models", type=int, default=12, choices=range(2, len(BITS) + 2), metavar="2..12")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--source", default=SOURCE)
    args = parser.parse_args()
    found = ratios(args.data_root, args.rounds, models=args.models, images=args.images, source=args.source)
    print(f"{args.models} variants of {args.source}, {args.images} images, one thread")
    print(f"one pass / its parts: {median(found):.3f}, from {min(found):.3f} to {max(found):.3f}")


if __name__ == "__main__":
    main()
