"""From a stored cell to what lower bits cost each of its layers, and to bits for each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch

from flatqat.bench.sensitivity.differences import ID, LayerChanges, RankAgreement, agreement, table
from flatqat.bench.sensitivity.images import DrawnImages, ImageSet
from flatqat.bench.sensitivity.measure import LayerSweep, Measure
from flatqat.bench.sensitivity.measurements import REFERENCE, Measurements
from flatqat.bench.sensitivity.opened import Opened
from flatqat.bench.sensitivity.options import Options
from flatqat.bench.sensitivity.proposal import Budget, Costs, Proposal, cost_matrix, propose
from flatqat.bench.sensitivity.shifts import reported
from flatqat.bench.sensitivity.stored import taken
from flatqat.bench.sensitivity.switches import Form, Forms
from flatqat.console.progress import Progress
from flatqat.quant.apply import by_layer
from flatqat.spec import QuantSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedProposal:
    """A proposal, and what it and uniform bits lose on the reported images.

    `against_reference` has the rows `uniform` and `proposal`, `against_uniform` the row `proposal`.
    `divergence` is that of the proposal on the reported clean images, where the additive model predicts
    `proposal.harm`.
    """

    proposal: Proposal
    budget: Budget
    choices: tuple[QuantSpec, ...]
    choosing: tuple[ImageSet, ...]
    against_reference: LayerChanges | None = None
    against_uniform: LayerChanges | None = None
    divergence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a command found: for each sweep the table of its layers and their agreement, and a proposal."""

    opened: Opened
    options: Options
    bits: QuantSpec
    sets: tuple[ImageSet, ...]
    splits: bool
    sweeps: Mapping[LayerSweep, tuple[LayerChanges, RankAgreement | None]]
    checked: CheckedProposal | None


class Sensitivity:
    """One command on one cell."""

    def __init__(
        self, opened: Opened, options: Options, progress: Progress, *, device: torch.device, workers: int
    ) -> None:
        self.opened, self.options = opened, options
        self.own = opened.record.cell.quant_spec
        measure = Measure(opened.switches, opened.suite.classes, device=device, workers=workers)
        self.measurements = Measurements(opened, measure, progress)

    def run(self) -> Found:
        """Measure what is not kept, and return everything. Raises UsageError before that."""
        opened, options = self.opened, self.options
        bits = options.lower(self.own)
        units, shifts = opened.units(options.layers), reported(opened.suite, options.families, options.shifts)
        images = DrawnImages(
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
            LayerSweep(mode=mode, form=Form(spec=bits, what=what))
            for mode, what in product(options.modes, options.whats)
        ]
        choice_sweeps = [LayerSweep(mode="one", form=Form(spec=spec)) for spec in choices]
        self.measurements.forecast([(sets, sweeps, units), (choosing, choice_sweeps if costs else [], units)])
        measured = {s.name: self.measurements.sweeps(s, sweeps, units) for s in sets}
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
        sweeps: Sequence[LayerSweep],
        choosing: Sequence[ImageSet],
        sets: Sequence[ImageSet],
        units: Sequence[str],
    ) -> CheckedProposal:
        """Choose bits on `choosing` alone, and compare them with uniform ones on the reported `sets`."""
        parts = [self.measurements.sweeps(s, sweeps, units) for s in choosing]
        harm = np.array([[one.divergence[1:].mean(axis=1) for one in part] for part in parts])
        harm = harm.transpose(2, 1, 0)  # (units, choices, sets)
        if self.options.choose_on != "worst-family":
            harm = harm.mean(axis=2, keepdims=True)
        proposal = propose(costs, choices, harm, solver=self.options.solver)
        checked = CheckedProposal(
            proposal=proposal, budget=costs.budget, choices=tuple(choices), choosing=tuple(choosing)
        )
        return self._check(checked, sets) if self.options.check else checked

    def _check(self, checked: CheckedProposal, sets: Sequence[ImageSet]) -> CheckedProposal:
        units, names = self.opened.switches.units, list(self.opened.switches.layers)
        uniform = by_layer(names, checked.proposal.uniform)
        forms: dict[str, Forms] = {
            REFERENCE: {},
            "uniform": {unit: Form(spec=uniform[unit]) for unit in units},
            "proposal": {unit: Form(spec=spec) for unit, spec in checked.proposal.by_unit.items()},
        }
        measured = {s.name: self.measurements.whole(s, forms) for s in sets}
        metric = self.opened.record.protocol.metric
        last = {name: taken(one, ("uniform", "proposal")) for name, one in measured.items()}
        return replace(
            checked,
            against_reference=table(metric, sets, measured, base=REFERENCE),
            against_uniform=table(metric, sets, last, base="uniform"),
            divergence=float(taken(measured[ID], ("proposal",)).divergence.mean()),
        )
