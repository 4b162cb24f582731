"""Reports of many stored cells.

CPU seconds and memory of `bench report` as a process of its own, and milliseconds a cell of other commands,
start included. The cells are made up: of digits-c's shifts and sizes, 75 of 300 images each, with outcomes
that are correlated over shifts, seeds and methods. Each is a method's setting or a network under ten seeds.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from flatqat import registry
from flatqat.bench.records.store import Store
from flatqat.metrics.outcomes import Outcomes
from flatqat.spec import (
    Cell,
    Environment,
    Flatness,
    MeanRise,
    Protocol,
    QuantSpec,
    Recipe,
    Record,
    Score,
    ShiftInfo,
    SpaceFlatness,
    TrainLog,
)
from flatqat.suite import Suite
from perf.rounds import Row, Spread

SEEDS, NETWORKS, IMAGES, VAL_IMAGES, CLASSES = 10, 10, 300, 397, 10
PACKAGES = {"numpy": "2.4.6", "pillow": "13.0.0", "timm": "1.0.9", "torch": "2.14.1", "torchvision": "0.29.1"}
MANY, FEW = 10_000, 1_000
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""  # in a small process, because Linux counts the memory of the one that starts a command as its peak


def rows(rounds: int) -> list[Row]:
    """Of 10,000 cells from three rounds on; of fewer a glance at 1,000, without goals."""
    cells = MANY if rounds > 2 else FEW
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        fill(results, cells)
        costs = [cost("bench", "report", "--results", str(results)) for _ in range(rounds)]
        rest = {title: cost(*words)[0] for title, words in _commands(results).items()}
    seconds, memory = (Spread.of(values) for values in zip(*costs, strict=True))
    each = Spread(*(1000 * value / cells for value in seconds))
    goals = ("≤ 10", "≤ 300") if cells == MANY else ("", "")
    return [
        Row.of(f"`bench report` of {cells:,} cells, CPU seconds", seconds, goal=goals[0]),
        Row.of(f"`bench report` of {cells:,} cells, peak MB", memory, goal=goals[1]),
        Row.of("`bench report`, ms a cell", each),
        *(Row(name=f"`{title}`, ms a cell", value=1000 * taken / cells) for title, taken in rest.items()),
    ]


def _commands(results: Path) -> dict[str, tuple[str, ...]]:
    where, baseline = ("--results", str(results)), str(results.with_name("baseline.json"))
    return {
        "bench report --by family": ("bench", "report", "--by", "family", *where),
        "bench baseline": ("bench", "baseline", "--output", baseline, *where),
        "bench check": ("bench", "check", "--baseline", baseline, *where),
        "results list": ("results", "list", *where),
    }


def fill(folder: Path, cells: int, networks: int = NETWORKS) -> None:
    """Store this many cells, their methods and networks in turns."""
    store, suite = Store(folder), registry.load(registry.SUITES, "digits-c")
    for cell in _cells(suite, cells, networks):
        store.write_record(*_result(suite, cell))


def _cells(suite: Suite, count: int, networks: int) -> Iterator[Cell]:
    first = Cell(
        suite=suite.name,
        suite_version=suite.version,
        model="",
        method="",
        quant="fp",
        recipe="default",
        seed=0,
    )
    for place in range(count):
        rest, seed = divmod(place, SEEDS)
        setting, network = divmod(rest, networks)
        quantized = {"method": "anchor", "quant": "4", "method_args": (("strength", 0.01 * setting),)}
        how = quantized if setting else {"method": "fp"}
        yield replace(first, model=f"network-{network}", seed=seed, **how)


def _result(suite: Suite, cell: Cell) -> tuple[Record, dict[str, np.ndarray]]:
    """A record and its outcomes: an image that is hard stays so, the more the severer the shift."""
    rng = np.random.default_rng(int(cell.id, 16))
    hard = {n: np.random.default_rng(n).standard_normal(n) for n in (IMAGES, VAL_IMAGES)}
    scores, arrays = {}, {}
    for shift in suite.scored:
        labels = np.arange(VAL_IMAGES if shift.name == "val" else IMAGES) % CLASSES
        margin = 3 - 0.6 * (shift.severity or 0) - hard[len(labels)] + 0.5 * rng.standard_normal(len(labels))
        pred = np.where(margin > 0, labels, (labels + rng.integers(1, CLASSES, len(labels))) % CLASSES)
        outcomes = Outcomes.pack(pred, margin, labels, classes=CLASSES)
        arrays |= {f"{shift.name}:pred": outcomes.pred, f"{shift.name}:margin": outcomes.margin}
        top1 = float(outcomes.correct.mean())
        scores[shift.name] = {
            "top1": Score(
                value=100 * top1, n=len(labels), stderr=100 * (top1 * (1 - top1) / len(labels)) ** 0.5
            ),
            "nll": Score(value=float(rng.random()), n=len(labels), stderr=float(rng.random())),
            "ece": Score(value=float(rng.random()), n=len(labels)),
        }
    return _record(suite, cell, scores), arrays


def _record(suite: Suite, cell: Cell, scores: dict[str, dict[str, Score]]) -> Record:
    shifts = {
        s.name: ShiftInfo(family=s.family, severity=s.severity, image_set=s.image_set, in_mean=s.in_mean)
        for s in suite.scored
    }
    rises = {
        radius: MeanRise(value=0.1 + cell.seed, stderr=0.01, draws=10) for radius in ("0.05", "0.1", "0.2")
    }
    measured = SpaceFlatness(
        space="quantized", acts="on", images=64, seed=1, loss=0.1, weight_norm=17.4, sharpness_avg=rises
    )
    return Record(
        cell=cell,
        status="done",
        scores=scores,
        flatness=Flatness(quantized=measured),
        train=TrainLog(
            steps=100, last_loss=0.2, seconds=2.0, audit={"floating": [], "floating_weights": 0.0}
        ),
        protocol=Protocol(
            suite=suite.protocol,
            data="97c1cbc2",
            reference=cell.method == "fp",
            parent=f"{cell.model}-pretrain-fp-s{cell.seed}",
            recipe=Recipe(pretrain_steps=300, steps=100),
            quant=QuantSpec.parse(cell.quant),
            method=dict(cell.method_args),
            shifts=shifts,
            class_names=tuple(map(str, range(CLASSES))),
        ),
        env=Environment(
            device="cpu (x86_64)", threads=1, flatqat="0.1.0", python="3.11.7", packages=PACKAGES
        ),
        last_run="2026-11-28T11:44:58.071+00:00",
    )


def cost(*words: str) -> tuple[float, float]:
    """CPU seconds and the largest memory, in MB, of a command of flatqat; its exit code may be a verdict."""
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "flatqat", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    code, seconds, memory = done.stdout.split()
    if code not in ("0", "1", "3"):
        raise RuntimeError(f"flatqat {' '.join(words)}: exit code {code}")
    return float(seconds), float(memory) / (2**20 if sys.platform == "darwin" else 2**10)
