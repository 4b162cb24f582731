"""From what the user asked for to the list of cells, checked whole before anything is computed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flatqat import registry
from flatqat.bench.plan.base_cell import EVAL, Base, base_of, code_files
from flatqat.bench.plan.request import Request
from flatqat.bench.plan.settings import Settings, changed, configure
from flatqat.errors import StoreError, UsageError, unknown
from flatqat.spec import Budget, Cell, QuantSpec
from flatqat.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A cell with everything its names stand for. Unscored jobs are only trained, as starts of others.

    `weights` is the file that it starts from where no other job is its start; `skip` says why it cannot run.
    """

    cell: Cell
    suite: Suite
    quant: QuantSpec
    budget: Budget
    config: Any
    start: "Job | None"
    weights: Path | None = None
    skip: str = ""
    scored: bool = True

    @property
    def title(self) -> str:
        """For progress lines: `cifar:resnet20 qat 4 seed 0`."""
        cell, target = self.cell, self.cell.suite.partition("@")[2]
        quant = "" if cell.quant == cell.method else f" {cell.bits}"
        stretch = f" {cell.stretch}x steps" if cell.stretch > 1 else ""
        what = f"{cell.model} {cell.method}{quant}{stretch} seed {cell.seed}"
        return f"{target} {what}" if target else what


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Jobs in an order in which every start comes before what starts from it."""

    request: Request
    jobs: tuple[Job, ...]

    @property
    def suites(self) -> list[Suite]:
        """Every suite once; the members of a family that differ in their seed's split are different ones."""
        return list({id(job.suite): job.suite for job in self.jobs}.values())

    def scored(self) -> list[Job]:
        return [job for job in self.jobs if job.scored]


MATCHED_PASSES = 2  # forward and backward passes for each step of the budget, as SAM and its relatives take


def make_plan(request: Request) -> Plan:
    """Resolve every name and setting. Raises UsageError or WeightsError before any work is done."""
    specs = _specs(request)
    _check_settings(request)
    if request.results.exists() and not request.results.is_dir():
        raise StoreError(
            f"results folder {request.results}: expected a folder, got a file; choose another with --results"
        )
    jobs: dict[str, Job] = {}
    there: dict[int, tuple[Suite, Suite]] = {}  # the same suite for all seeds: each shift is read once
    most_passes = MATCHED_PASSES if request.compute_matched else 1
    for name in request.suites:
        for seed in request.seeds:
            for whole in members(name, seed):
                _, suite = there.setdefault(id(whole), (whole, whole.on_disk(request.data_root)))
                for model in request.models or (suite.default_model,):
                    base = base_of(suite, model, seed, request, specs)
                    for method, spec in _variants(request.methods, specs):
                        job = _add(jobs, base, method, spec, request.settings, most_passes)
                        jobs[job.cell.id] = replace(job, scored=True)
    return Plan(request=request, jobs=tuple(jobs.values()))


def members(name: str, seed: int) -> list[Suite]:
    """The suite called `name`; of a family `pacs` all its members, or one of them, `pacs@sketch`."""
    family_name, _, target = name.partition("@")
    suite: Suite = registry.load(registry.SUITES, family_name)
    if suite.member is None and target:
        raise UsageError(f"suite {family_name!r}: expected no target after it, got {target!r}")
    if target and target not in suite.targets:
        raise unknown(f"target of {family_name}", target, suite.targets)
    if suite.member is None:
        return [suite]
    return [suite.member(one, seed) for one in ([target] if target else suite.targets)]


def _specs(request: Request) -> list[QuantSpec]:
    keep = None if request.keep is None else ",".join(request.keep)
    layer_bits = ",".join(request.layer_bits) or None
    specs = [QuantSpec.parse(text, keep=keep, layer_bits=layer_bits) for text in request.bits]
    for spec in specs:
        registry.load(registry.QUANTIZERS, spec.quantizer)
    return specs


def _variants(methods: tuple[str, ...], specs: list[QuantSpec]) -> Iterator[tuple[str, QuantSpec]]:
    """Every method at every bit-width; a method that never quantizes once, in floating point."""
    for method in methods:
        quantizes = registry.load(registry.METHODS, method).quantizes
        for spec in specs if quantizes else [QuantSpec()]:
            yield method, spec


def _add(
    jobs: dict[str, Job], base: Base, name: str, spec: QuantSpec, settings: Settings, passes: int = 1
) -> Job:
    """The job for a method, added with the one it starts from, unless they are there already.

    A rule of fewer `passes` gets as many more steps; what it starts from does not.
    """
    method, suite, weights = registry.load(registry.METHODS, name), base.suite, base.weights
    if weights and method.start is None:
        raise UsageError(f"method {name!r} trains from scratch and takes no --weights; leave one of them out")
    start = None
    if method.start and not (weights and registry.load(registry.METHODS, method.start).start is None):
        start = _add(jobs, base, method.start, QuantSpec(), settings)
    values = configure(method.Config, name, settings.get(name, {}))
    plain = suite.budgets[base.cell.budget]
    budget_values = configure(Budget, "budget", settings.get("budget", {}))
    budget = replace(plain, **budget_values)
    stretch = _stretch(method, budget, passes)
    cell = replace(
        base.cell,
        method=name,
        stretch=stretch,
        method_version=method.version,
        quant=str(spec),
        keep=spec.keep_text,
        layer_bits=spec.layer_bits_text,
        method_args=changed(method.Config(), values),
        budget_args=changed(plain, budget_values),
        parent=start.cell.training_id if start else None,
        plugins=_plugins(suite.name, name, base.cell.model, spec.quantizer),
    )
    if base.cell.budget == EVAL and budget.steps:
        raise UsageError(f"--set budget.steps: expected none, since {base.still}; got {budget.steps}")
    budget = replace(budget, steps=stretch * budget.steps)
    job = Job(
        cell=cell,
        suite=suite,
        quant=spec,
        budget=budget,
        config=method.Config(**values),
        start=start,
        weights=None if start else weights,
        skip=base.still if method.trains and not budget.steps else "",
        scored=False,
    )
    return jobs.setdefault(cell.id, job)


def _stretch(method: Any, budget: Budget, passes: int) -> int:
    """By how much a rule's steps are multiplied, so that it spends `passes` for each step of the budget.

    The reference is not stretched, since every row is compared with it; nor is a rule whose steps are not
    those of the budget.
    """
    longer = replace(budget, steps=passes * budget.steps)
    if method.reference or method.steps(longer) == method.steps(budget):
        return 1
    return max(1, passes // int(method.passes))


def _plugins(suite: str, method: str, model: str, quantizer: str) -> str | None:
    """A hash of the plugin files that a cell is made of, since editing one changes its numbers."""
    parts = (
        (registry.SUITES, suite.partition("@")[0]),
        (registry.METHODS, method),
        (registry.MODELS, model.partition(":")[0]),
        (registry.QUANTIZERS, quantizer),
        (registry.QUANTIZERS, registry.load(registry.QUANTIZERS, quantizer).kept_with or quantizer),
    )
    files = [file for kind, name in dict.fromkeys(parts) if (file := registry.plugin_file(kind, name))]
    files += code_files(model)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12] if files else None


def _check_settings(request: Request) -> None:
    owners = {"budget", *request.methods}
    for name in request.methods:
        while (name := registry.load(registry.METHODS, name).start) is not None:
            owners.add(name)
    for owner in request.settings:
        if owner not in owners:
            if owner in registry.names(registry.METHODS):
                raise UsageError(
                    f"--set {owner}.{next(iter(request.settings[owner]))}: expected the settings of a method "
                    f"that is run, {', '.join(sorted(owners - {'budget'}))}; add {owner} to --method"
                )
            raise unknown("owner of a setting", owner, owners)
