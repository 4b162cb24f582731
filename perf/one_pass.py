"""One pass of many models over a shift.

Its cost in units of the sum of its parts: one decoding, one corruption, and the forward passes of each model.
A pass is the engine's own, which also meters predictions and stores scores, over ImageNet's validation images
in the folder that FLATQAT_DATA_ROOT names.
"""

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import torch
from safetensors.torch import save_file

from flatqat.bench.cell.session import Session
from flatqat.bench.engine.together import Together
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
from perf.rounds import Row, Spread

BITS = ("8", "6", "5", "4", "3", "w8", "w6", "w4", "w4a8", "w3a8", "w2a8")
ROOT = Path(os.environ.get("FLATQAT_DATA_ROOT", Path(__file__).parents[2] / "shared" / "data"))
MODELS, IMAGES, GOAL = len(BITS) + 1, 96, "≤ 1.05"
QUICK = {"calibration_batches": "1", "batch_size": "16"}
BATCH_SIZE = 55  # the engine's at 224 pixels
SOURCE = "torchvision:mobilenet_v3_small"

corrupted = partial(corrupt, name="gaussian_noise", severity=3, table="imagenet")


def rows(rounds: int) -> list[Row]:
    name = f"one pass of {MODELS} models / its parts, {SOURCE.partition(':')[2]}, {IMAGES} images"
    if not (ROOT / "imagenet" / "val").is_dir():
        return [Row(name=name, goal=GOAL, note="no imagenet/val in FLATQAT_DATA_ROOT")]
    return [Row.of(name, Spread.of(ratios(ROOT, rounds)), goal=GOAL)]


def together(data_root: Path, folder: Path) -> Together:
    """The engine with one network in full precision and at all BITS, calibrated."""
    weights = folder / "weights.safetensors"
    save_file(build(SOURCE, classes=1000, seed=0).net.state_dict(), weights)
    request = Request(
        suites=("imagenet-c-live",), models=(SOURCE,), methods=("fp", "ptq"), bits=BITS,
        seeds=(0,), recipe="eval", weights=weights, data_root=data_root, results=folder / "results",
        limit=IMAGES, spaces=(), settings={"recipe": QUICK, "ptq": {"ranges": "minmax"}},
    )  # fmt: skip
    session, plan = Session.open(request, Progress()), make_plan(request)
    for job in plan.scored():
        train(job, session)
    engine = Together(plan.scored(), session, Troubles(Progress()))
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


def ratios(data_root: Path, rounds: int) -> list[float]:
    """CPU seconds of a pass by those of its parts, taken in turns; a ratio each round."""

    def build(root: Path | None) -> ImageData:
        return scored(root).transformed(eval_crop(EvalTransform())).map(corrupted)  # not `decoded_once`

    found = []
    with TemporaryDirectory() as folder:
        engine = together(data_root, Path(folder))
        for number in range(rounds + 1):  # the first one warms up
            parts = in_parts(engine, build(data_root).sample(IMAGES))
            began = process_time()
            engine.score([Shift(name=f"noise/{number}", family="noise", build=build)])
            found.append((process_time() - began) / parts)
    return found[1:]
