"""From a stored cell to what lower bits cost each of its layers, and to bits for each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from flatqat.bench.sensitivity.differences import Agreement, Table, agreement, table
from flatqat.bench.sensitivity.images import Images, ImageSet
from flatqat.bench.sensitivity.measure import UNITS_OF_PROGRESS, Measure, Measured, Sweep
from flatqat.bench.sensitivity.opened import Opened
from flatqat.bench.sensitivity.options import Options
from flatqat.bench.sensitivity.proposal import Budget, Costs, Proposal, cost_matrix, propose
from flatqat.bench.sensitivity.shifts import reported
from flatqat.bench.sensitivity.stored import taken
from flatqat.bench.sensitivity.switches import Form, Forms
from flatqat.console.progress import Progress, seconds
from flatqat.quant.apply import by_layer
from flatqat.spec import QuantSpec

REFERENCE = "reference"
WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A proposal, and what it and uniform bits lose on the reported images.

    `against_reference` has the rows `uniform` and `proposal`, `against_uniform` the row `proposal`.
    """

    proposal: Proposal
    budget: Budget
    choices: tuple[QuantSpec, ...]
    choosing: tuple[ImageSet, ...]
    against_reference: Table | None = None
    against_uniform: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a command found: for each sweep the table of its layers and their agreement, and a proposal."""

    opened: Opened
    options: Options
    bits: QuantSpec
    sets: tuple[ImageSet, ...]
    splits: bool
    sweeps: Mapping[Sweep, tuple[Table, Agreement | None]]
    checked: Checked | None


class Sensitivity:
    """One command on one cell."""

    def __init__(
        self, opened: Opened, options: Options, progress: Progress, *, device: torch.device, workers: int
    ) -> None:
        self.opened, self.options, self.progress = opened, options, progress
        self.own = opened.record.cell.quant_spec
        self.measure = Measure(opened.switches, opened.suite.classes, device=device, workers=workers)
        self._ready = False

    def run(self) -> Found:
        """Measure what is not kept, and return everything. Raises UsageError before that."""
        opened, options = self.opened, self.options
        bits = options.lower(self.own)
        units, shifts = opened.units(options.layers), reported(opened.suite, options.families, options.shifts)
        images = Images(
            suite=opened.suite,
            root=opened.root,
            view=opened.switches.model.eval_transform,
            limit=options.limit,
            seed=options.seed,
        )
        costs = self._costs()
        choices = options.chosen_from(self.own)
        if costs:
            cost_matrix(costs, choices)  # an impossible budget ends here
        choosing = images.choosing(options.choose_on) if costs else []
        sets = images.reported(shifts)
        sweeps = [
            Sweep(mode=mode, form=Form(spec=bits, what=what))
            for mode, what in product(options.modes, options.whats)
        ]
        choice_sweeps = [Sweep(mode="one", form=Form(spec=spec)) for spec in choices]
        self._forecast([(sets, sweeps, units), (choosing, choice_sweeps if costs else [], units)])
        measured = {s.name: self._sweeps(s, sweeps, units) for s in sets}
        metric, tables = opened.record.protocol.metric, {}
        for number, sweep in enumerate(sweeps):
            of_sets = {name: found[number] for name, found in measured.items()}
            one = table(metric, sets, of_sets, sign=1 if sweep.mode == "one" else -1)
            tables[sweep] = one, agreement(one)
        return Found(
            opened=opened,
            options=options,
            bits=bits,
            sets=tuple(sets),
            splits=images.splits,
            sweeps=tables,
            checked=self._proposed(costs, choices, choice_sweeps, choosing, sets, units) if costs else None,
        )

    def _costs(self) -> Costs | None:
        if (asked := self.options.budget) is None:
            return None
        kind, value = asked
        units, layers = self.opened.switches.units, self.opened.costs
        if isinstance(value, QuantSpec):
            value = Costs(units, layers, Budget(kind=kind, value=0.0)).of_spec(value)
        return Costs(units, layers, Budget(kind=kind, value=value))

    def _proposed(
        self,
        costs: Costs,
        choices: Sequence[QuantSpec],
        sweeps: Sequence[Sweep],
        choosing: Sequence[ImageSet],
        sets: Sequence[ImageSet],
        units: Sequence[str],
    ) -> Checked:
        """Choose bits on `choosing` alone, and compare them with uniform ones on the reported `sets`."""
        parts = [self._sweeps(s, sweeps, units) for s in choosing]
        harm = np.array([[one.divergence[1:].mean(axis=1) for one in part] for part in parts])
        harm = harm.transpose(2, 1, 0)  # (units, choices, sets)
        if self.options.choose_on != "worst-family":
            harm = harm.mean(axis=2, keepdims=True)
        proposal = propose(costs, choices, harm, solver=self.options.solver)
        checked = Checked(
            proposal=proposal, budget=costs.budget, choices=tuple(choices), choosing=tuple(choosing)
        )
        return self._check(checked, sets) if self.options.check else checked

    def _check(self, checked: Checked, sets: Sequence[ImageSet]) -> Checked:
        units, names = self.opened.switches.units, list(self.opened.switches.layers)
        uniform = by_layer(names, checked.proposal.uniform)
        forms: dict[str, Forms] = {
            REFERENCE: {},
            "uniform": {unit: Form(spec=uniform[unit]) for unit in units},
            "proposal": {unit: Form(spec=spec) for unit, spec in checked.proposal.by_unit.items()},
        }
        measured = {s.name: self._whole(s, forms) for s in sets}
        metric = self.opened.record.protocol.metric
        last = {name: taken(one, ("uniform", "proposal")) for name, one in measured.items()}
        return Checked(
            proposal=checked.proposal,
            budget=checked.budget,
            choices=checked.choices,
            choosing=checked.choosing,
            against_reference=table(metric, sets, measured, base=REFERENCE),
            against_uniform=table(metric, sets, last, base="uniform"),
        )

    def _sweeps(self, images: ImageSet, sweeps: Sequence[Sweep], units: Sequence[str]) -> list[Measured]:
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
                self.opened.kept.add(images, sweep.name, one)
        for sweep in sweeps:
            kept = self.opened.kept.read(images, sweep.name)
            assert kept is not None
            found.append(taken(kept, names))
        return found

    def _lacking(self, images: ImageSet, kind: str, names: Sequence[str]) -> list[str]:
        kept = self.opened.kept.read(images, kind)
        return [name for name in names if kept is None or name not in kept.networks]

    def _whole(self, images: ImageSet, forms: Mapping[str, Forms]) -> Measured:
        keys = {name: _key(one) for name, one in forms.items()}
        if self._lacking(images, WHOLE, list(keys.values())):
            self._prepare(images)
            title = f"{images.name}: {len(forms)} networks, {len(images.data)} images"
            batches = self.measure.batches_of(images)
            with self.progress.task(title, batches * len(forms) * UNITS_OF_PROGRESS) as advance:
                networks = {keys[name]: one for name, one in forms.items()}
                self.opened.kept.add(images, WHOLE, self.measure.whole(images, networks, advance))
        kept = self.opened.kept.read(images, WHOLE)
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

    def _forecast(self, parts: Sequence[tuple[Sequence[ImageSet], Sequence[Sweep], Sequence[str]]]) -> None:
        """Say how much there is to measure, and about how long that takes."""
        variants, passes = 0, 0.0
        for sets, sweeps, units in parts:
            for images in sets:
                for sweep in sweeps:
                    lacking = [u for u in self._lacking(images, sweep.name, units) if u != "base"]
                    if lacking:
                        self._prepare(images)
                        variants += len(lacking) * len(images.data)
                        passes += len(images.data) * (1 + sum(map(self.measure.share, lacking)))
        if variants:
            took = seconds(passes * self.measure.seconds)
            self.progress.say(
                f"{variants:,} images through a network with one layer changed: as much as {passes:,.0f} "
                f"whole runs, about {took} and the time to make the images"
            )

    def _work(self, images: ImageSet, sweeps: Sequence[Sweep], units: Sequence[str]) -> int:
        bases = 1 + len({s.form for s in sweeps if s.mode != "one"})
        shares = len(sweeps) * sum(self.measure.weight(unit) for unit in units)
        return self.measure.batches_of(images) * (bases * UNITS_OF_PROGRESS + shares)


def _key(forms: Forms) -> str:
    """Return a name that is the same for the same forms."""
    return ",".join(f"{u}={f.spec}/{f.what}" for u, f in forms.items() if f is not None) or REFERENCE
