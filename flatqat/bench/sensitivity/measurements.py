"""Read the stored measurements of a cell, measure what is missing, and say beforehand how long that takes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flatqat.bench.sensitivity.images import ImageSet
from flatqat.bench.sensitivity.measure import UNITS_OF_PROGRESS, LayerSweep, Measure
from flatqat.bench.sensitivity.opened import Opened
from flatqat.bench.sensitivity.readings import Measured
from flatqat.bench.sensitivity.stored import taken
from flatqat.bench.sensitivity.switches import Forms
from flatqat.console.progress import Progress, seconds

REFERENCE = "reference"
WHOLE = "whole"


class Measurements:
    """Measures what the results folder does not have yet; calibrates only if something is missing."""

    def __init__(self, opened: Opened, measure: Measure, progress: Progress) -> None:
        self.opened, self.kept = opened, opened.kept
        self.measure, self.progress = measure, progress
        self._ready = False
        self._known: dict[Path, Measured | None] = {}

    def sweeps(self, images: ImageSet, sweeps: Sequence[LayerSweep], units: Sequence[str]) -> list[Measured]:
        """Return what is kept of each sweep, after measuring what is not."""
        names, found = ("base", *units), []
        lacking = {s: self._lacking(images, s.name, names) for s in sweeps}
        together = sorted(
            {unit for units_of in lacking.values() for unit in units_of} - {"base"}, key=units.index
        )
        todo = [s for s in sweeps if lacking[s]]
        if todo:
            self._prepare(images)
            total = self._work(images, todo, together)
            title = f"{images.name}: {len(todo) * len(together)} variants, {len(images.data)} images"
            with self.progress.task(title, total) as advance:
                measured = self.measure.sweep(images, todo, together, advance)
            for sweep, one in zip(todo, measured, strict=True):
                self._keep(images, sweep.name, one)
        for sweep in sweeps:
            kept = self._kept(images, sweep.name)
            assert kept is not None
            found.append(taken(kept, names))
        return found

    def _kept(self, images: ImageSet, kind: str) -> Measured | None:
        """Return what is kept, which is read once."""
        if (path := self.kept.path(images, kind)) not in self._known:
            self._known[path] = self.kept.read(images, kind)
        return self._known[path]

    def _keep(self, images: ImageSet, kind: str, measured: Measured) -> None:
        self._known[self.kept.path(images, kind)] = self.kept.add(images, kind, measured)

    def _lacking(self, images: ImageSet, kind: str, names: Sequence[str]) -> list[str]:
        kept = self._kept(images, kind)
        return [name for name in names if kept is None or name not in kept.networks]

    def whole(self, images: ImageSet, forms: Mapping[str, Forms]) -> Measured:
        """Return what is kept of whole networks, of which the first is the reference, as `sweeps` does."""
        keys = {name: _key(one) for name, one in forms.items()}
        if self._lacking(images, WHOLE, list(keys.values())):
            self._prepare(images)
            title = f"{images.name}: {len(forms)} networks, {len(images.data)} images"
            batches = self.measure.batches_of(images)
            with self.progress.task(title, batches * len(forms) * UNITS_OF_PROGRESS) as advance:
                networks = {keys[name]: one for name, one in forms.items()}
                self._keep(images, WHOLE, self.measure.whole(images, networks, advance))
        kept = self._kept(images, WHOLE)
        assert kept is not None
        chosen = taken(kept, list(keys.values()))
        return Measured(networks=tuple(keys), outcome=chosen.outcome, divergence=chosen.divergence)

    def _prepare(self, images: ImageSet) -> None:
        if not self._ready:
            with self.progress.task("calibrate on training images", 1):
                self.opened.observe()
            self.measure.prepare(images)
            self._ready = True
            if not self.measure.replay.exact:
                self.progress.say("every variant is a whole run: this network does not repeat itself exactly")

    def forecast(
        self, parts: Sequence[tuple[Sequence[ImageSet], Sequence[LayerSweep], Sequence[str]]]
    ) -> None:
        """Say how much there is to measure, and about how long that takes."""
        variants, passes, read, making = 0, 0.0, 0, {}
        for sets, sweeps, units in parts:
            for images in sets:
                of_sweeps = {
                    s: [u for u in self._lacking(images, s.name, units) if u != "base"] for s in sweeps
                }
                lacking = [unit for of_sweep in of_sweeps.values() for unit in of_sweep]
                if lacking:
                    self._prepare(images)
                    bases = _bases([sweep for sweep, of_sweep in of_sweeps.items() if of_sweep])
                    variants += len(lacking) * len(images.data)
                    passes += len(images.data) * (bases + sum(map(self.measure.share, lacking)))
                    read += len(images.data) * (bases + len(lacking))
                    making[images.name] = images
        if variants:
            made = sum(map(self.measure.seconds_to_make, making.values()))
            took = seconds(passes * self.measure.seconds + read * self.measure.reading + made)
            self.progress.say(
                f"{variants:,} images through a network with one layer changed: as much as {passes:,.0f} "
                f"whole runs, about {took} in all"
            )

    def _work(self, images: ImageSet, sweeps: Sequence[LayerSweep], units: Sequence[str]) -> int:
        shares = len(sweeps) * sum(self.measure.weight(unit) for unit in units)
        return self.measure.batches_of(images) * (_bases(sweeps) * UNITS_OF_PROGRESS + shares)


def _bases(sweeps: Sequence[LayerSweep]) -> int:
    """Return how many networks run in whole for some sweeps, besides those with one unit changed."""
    return 1 + len({sweep.form for sweep in sweeps if sweep.mode != "one"})


def _key(forms: Forms) -> str:
    """Return a name that is the same for the same forms."""
    return ",".join(f"{u}={f.bits}/{f.what}" for u, f in forms.items() if f is not None) or REFERENCE
