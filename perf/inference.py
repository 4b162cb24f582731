"""Scoring.

A batch of the product's size goes through ResNet-18 at 224 pixels, whose weights are rounded once. The unit
is the same network in full precision as PyTorch runs it by default. The product's own settings (the allocator
keeps freed memory) belong to a process, so every variant has one of its own, and they take turns.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import torch

from flatqat.models.base import Normalized, build
from flatqat.quant.apply import cached_weights, calibrate, quantize_
from flatqat.spec import QuantSpec
from perf.rounds import Call, Row, prepare, row, turns

BATCH = 2**23 // (3 * 224 * 224)  # images; see flatqat.bench.cell.batches
UNIT = "plain PyTorch, FP"
VARIANTS: dict[str, dict[str, Any]] = {
    UNIT: {},
    "FP": {"bits": "fp"},
    "4 bits": {"bits": "4"},
    "FP with --amp": {"bits": "fp", "amp": True},
    "4 bits with --amp": {"bits": "4", "amp": True},
}
GOALS = {"4 bits": "≤ 0.65", "4 bits with --amp": "≤ 0.35"}


def rows(rounds: int) -> list[Row]:
    with workers() as calls:
        clock: list[float] = [0.0]  # CPU seconds of all variants together

        def counted(call: Any) -> Call:
            def one() -> None:
                clock[0] += call()

            return one

        times = turns({name: counted(call) for name, call in calls.items()}, rounds, clock=lambda: clock[0])
    return [_row(name, times) for name in VARIANTS if name != UNIT]


def _row(name: str, times: dict[str, list[float]]) -> Row:
    title, goal = f"scoring forward, ResNet-18 at 224 px, {name} / {UNIT}", GOALS.get(name, "")
    if name not in times:
        return Row(name=title, goal=goal, note="this processor has no bfloat16 arithmetic")
    return row(title, times, name, UNIT, goal=goal)


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16; others emulate it, several times slower than float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@contextmanager
def workers() -> Iterator[dict[str, Any]]:
    """Yield, by variant, a call that runs one batch in its process and returns its CPU seconds."""
    spawn, running = multiprocessing.get_context("spawn"), []
    calls = {}
    for name, settings in VARIANTS.items():
        if settings.get("amp") and not has_bfloat16():
            continue
        here, there = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(there, settings), daemon=True)
        process.start()
        running.append((process, here))
        calls[name] = lambda pipe=here: (pipe.send(True), pipe.recv())[1]
    try:
        yield calls
    finally:
        for process, pipe in running:
            pipe.send(False)
            process.join()


def _serve(pipe: Connection, settings: dict[str, Any]) -> None:
    if settings:
        prepare()
    torch.set_num_threads(1)
    images = torch.rand(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), cached_weights():
        forward = _network(images, **settings)
        while pipe.recv():
            began = time.process_time()
            forward()
            pipe.send(time.process_time() - began)


def _network(images: torch.Tensor, bits: str = "", amp: bool = False) -> Call:
    model: Normalized = build("torchvision:resnet18", classes=1000, seed=0)
    if bits:
        quantize_(model.net, QuantSpec.parse(bits))
        calibrate(model, [images[:8]], "minmax")
        model.amp = amp
    model.eval()
    return (lambda: model.predict(images)) if bits else (lambda: model(images))
