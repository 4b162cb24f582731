"""Measure a network with one layer switched at a time: images are made once, all variants see each batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from time import perf_counter

import torch
from torch import Tensor

from flatqat.bench.cell.batches import scoring_batch_size
from flatqat.bench.cell.making import seconds_to_make, wait_for
from flatqat.bench.sensitivity.images import ImageSet
from flatqat.bench.sensitivity.readings import Columns, Measured, measured
from flatqat.bench.sensitivity.replay import Replay
from flatqat.bench.sensitivity.switches import Form, Forms, Switches
from flatqat.console.progress import Advance
from flatqat.data.tensors.reading import Reader

TIMED = 16  # images that are run once to tell how long all will take
TIMES = 3
CHECKED = 2  # images on which replaying is compared with whole runs
UNITS_OF_PROGRESS = 100  # for each forward pass of a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSweep:
    """All variants of one kind: each unit in turn is the only one with another form, or without it.

    With the mode `one` the unit has the form and all others are as in the reference; with `all-but-one` all
    others have the form, and the unit is as in the reference.
    """

    mode: str
    form: Form

    @property
    def name(self) -> str:
        """Such as `one both 4`."""
        return f"{self.mode} {self.form.what} {self.form.bits}"

    def base(self, units: Sequence[str]) -> Forms:
        """Return the forms of the base, the network from which each variant differs in one unit."""
        return {} if self.mode == "one" else dict.fromkeys(units, self.form)

    @property
    def switched(self) -> Form | None:
        """The form of the unit whose turn it is."""
        return self.form if self.mode == "one" else None


class Measure:
    """Runs switched networks over image sets.

    Attributes:
        replay: What repeats the run of the base behind a changed layer.
        seconds: How long one image takes in a whole run, known after `prepare`.
        reading: How long the scores of one image take, known after `prepare`.
    """

    def __init__(self, switches: Switches, classes: int, *, device: torch.device, workers: int) -> None:
        self.switches, self.classes = switches, classes
        self.device, self.workers = device, workers
        self.replay = Replay(switches.model.net, switches.layers)
        self.seconds = self.reading = inf
        self._shares: dict[str, float] = {}

    @torch.no_grad()
    def sweep(
        self, images: ImageSet, sweeps: Sequence[LayerSweep], units: Sequence[str], advance: Advance
    ) -> list[Measured]:
        """Return what images give in the base and in the variants of some units, for each sweep."""
        names = ("base", *units)
        columns = [{name: self._columns(images) for name in names} for _ in sweeps]
        bases: list[Forms] = [{}]
        bases += [base for s in sweeps if (base := s.base(tuple(self.switches.units))) not in bases]
        with self.replay.installed():
            for x, y in self._batches(images):
                log_reference: Tensor | None = None
                for base in bases:
                    self.switches.switch(base)
                    logits = self.replay.record(partial(self._predict, x))
                    log_reference = _log_p(logits) if log_reference is None else log_reference
                    advance(UNITS_OF_PROGRESS)
                    for sweep, column in zip(sweeps, columns, strict=True):
                        if sweep.base(tuple(self.switches.units)) == base:
                            column["base"].add(logits, y, log_reference)
                            for unit in units:
                                column[unit].add(self._variant(sweep, unit, x), y, log_reference)
                                advance(self.weight(unit))
        self.switches.switch({})
        return [measured(column) for column in columns]

    def _variant(self, sweep: LayerSweep, unit: str, x: Tensor) -> Tensor:
        self.switches.set(unit, sweep.switched)
        logits = self.replay.run(self.switches.units[unit], partial(self._predict, x))
        self.switches.set(unit, sweep.base((unit,)).get(unit))
        return logits

    @torch.no_grad()
    def whole(self, images: ImageSet, networks: dict[str, Forms], advance: Advance) -> Measured:
        """Return what images give in whole networks; the first one is the reference."""
        columns = {name: self._columns(images) for name in networks}
        for x, y in self._batches(images):
            log_reference: Tensor | None = None
            for name, forms in networks.items():
                self.switches.switch(forms)
                logits = self._predict(x)
                log_reference = _log_p(logits) if log_reference is None else log_reference
                columns[name].add(logits, y, log_reference)
                advance(UNITS_OF_PROGRESS)
        self.switches.switch({})
        return measured(columns)

    @torch.no_grad()
    def prepare(self, images: ImageSet) -> None:
        """Find out on two images whether variants can be replayed, and how much of a run each takes."""
        x, y = images.data.batch(torch.arange(min(TIMED, len(images.data))), self.device)
        with self.replay.installed():
            self.replay.verify(lambda: self._predict(x[:CHECKED]))
            for _ in range(TIMES):  # the fastest, since other processes only slow it down
                began = perf_counter()
                logits = self.replay.record(partial(self._predict, x))
                if (took := (perf_counter() - began) / len(x)) < self.seconds:
                    self.seconds, self._shares = took, self.replay.remaining
                began = perf_counter()
                self._columns(images).add(logits, y, _log_p(logits))
                wait_for(self.device)
                self.reading = min(self.reading, (perf_counter() - began) / len(x))

    def seconds_to_make(self, images: ImageSet) -> float:
        """Return about how long making the images of a set takes."""
        return seconds_to_make(images.data, self.device, self.workers)

    def batches_of(self, images: ImageSet) -> int:
        """Return how many batches a set has."""
        return -(-len(images.data) // scoring_batch_size(images.data, self.device))

    def weight(self, unit: str) -> int:
        """Return the progress that a variant of a unit makes."""
        return round(UNITS_OF_PROGRESS * self.share(unit))

    def share(self, unit: str) -> float:
        """Return the part of a forward pass that a variant of a unit takes."""
        shares = [self._shares.get(name, 1.0) for name in self.switches.units[unit]]
        return max(shares) if self.replay.exact else 1.0

    def _predict(self, x: Tensor) -> Tensor:
        return self.switches.model.predict(x)

    def _columns(self, images: ImageSet) -> Columns:
        return Columns(self.switches.model.task, self.classes, images.class_subset, images.groups)

    def _batches(self, images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
        with Reader(self.device, self.workers) as reader:
            yield from reader.batches(images.data.parts(scoring_batch_size(images.data, self.device)))


def _log_p(logits: Tensor) -> Tensor:
    return logits.float().log_softmax(1)
