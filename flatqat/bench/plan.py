"""From what the user asked for to the list of cells, checked whole before anything is computed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flatqat import registry
from flatqat.bench.settings import Settings, changed, configure
from flatqat.bench.start import code_files, sha256, try_model, weights_file
from flatqat.errors import StoreError, UsageError, unknown
from flatqat.spec import Budget, Cell, QuantSpec
from flatqat.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run and how. No models and no budget stand for the suite's own defaults.

    `keep` and `layer_bits` are of every quantized cell; no `keep` stands for the first and the last layer.
    """

    suites: tuple[str, ...]
    methods: tuple[str, ...]
    bits: tuple[str, ...]
    keep: tuple[str, ...] | None = None
    layer_bits: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    budget: str | None = None
    settings: Settings = field(default_factory=dict)
    weights: Path | None = None
    pretrained: bool = False
    data_root: Path | None = None
    results: Path = Path("results")
    device: str = "auto"
    amp: bool = False
    threads: int = 1
    workers: int = 0
    limit: int | None = None
    compute_matched: bool = False
    flatness: bool = True
    rerun: bool = False


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


MOST_SEEDS = 1000
MATCHED_PASSES = 2  # forward and backward passes for each step of the budget, as SAM and its relatives take
EVAL = "eval"  # the budget of suites without training images: no step is taken


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` is how many (0, 1, 2); `0,2` is which; `7,` is the one seed 7."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = all(part.isascii() and part.isdecimal() for part in parts)
    if not parts or not numbers or ("," not in text and not 1 <= int(text) <= MOST_SEEDS):
        raise UsageError(f"--seeds: expected how many (3) or which (0,1,2), got {text!r}")
    return tuple(map(int, parts)) if "," in text else tuple(range(int(text)))


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
                    base, weights, lacking = _base(suite, model, seed, request, specs)
                    for method, spec in _variants(request.methods, specs):
                        job = _add(
                            jobs, suite, base, method, spec, request.settings, weights, lacking, most_passes
                        )
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


def _base(
    suite: Suite, model: str, seed: int, request: Request, specs: list[QuantSpec]
) -> tuple[Cell, Path | None, str]:
    """What all cells of a suite, a model and a seed share; their weights file; why they cannot train."""
    lacking = suite.untrainable(request.data_root)
    budget = EVAL if lacking else request.budget or suite.default_budget
    if budget not in suite.budgets:
        raise unknown(f"budget of {suite.name}", budget, suite.budgets)
    weights = weights_file(model, request.weights, pretrained=request.pretrained)
    weights_hash = sha256(weights) if weights else None
    preprocessing = try_model(model, suite, weights, specs)
    cell = Cell(
        suite=suite.name,
        suite_version=suite.version,
        model=model,
        method="",
        quant="fp",
        budget=budget,
        seed=seed,
        weights=weights_hash,
        limit=request.limit,
        amp=request.amp,
        preprocessing=preprocessing if suite.framed else None,
    )
    return cell, weights, lacking or f"the budget {budget!r} trains nothing"


def _variants(methods: tuple[str, ...], specs: list[QuantSpec]) -> Iterator[tuple[str, QuantSpec]]:
    """Every method at every bit-width; a method that never quantizes once, in floating point."""
    for method in methods:
        quantizes = registry.load(registry.METHODS, method).quantizes
        for spec in specs if quantizes else [QuantSpec()]:
            yield method, spec


def _add(
    jobs: dict[str, Job],
    suite: Suite,
    base: Cell,
    name: str,
    spec: QuantSpec,
    settings: Settings,
    weights: Path | None,
    lacking: str,
    passes: int = 1,
) -> Job:
    """The job for a method, added with the one it starts from, unless they are there already.

    A rule of fewer `passes` gets as many more steps; what it starts from does not.
    """
    method = registry.load(registry.METHODS, name)
    if weights and method.start is None:
        raise UsageError(f"method {name!r} trains from scratch and takes no --weights; leave one of them out")
    start = None
    if method.start and not (weights and registry.load(registry.METHODS, method.start).start is None):
        start = _add(jobs, suite, base, method.start, QuantSpec(), settings, weights, lacking)
    values = configure(method.Config, name, settings.get(name, {}))
    budget = suite.budgets[base.budget]
    budget_values = configure(Budget, "budget", settings.get("budget", {}))
    stretch = _stretch(method, replace(budget, **budget_values), passes)
    cell = replace(
        base,
        method=name,
        stretch=stretch,
        method_version=method.version,
        quant=str(spec),
        keep=spec.keep_text,
        layer_bits=spec.layer_bits_text,
        method_args=changed(method.Config(), values),
        budget_args=changed(budget, budget_values),
        parent=start.cell.training_id if start else None,
        plugins=_plugins(suite.name, name, base.model, spec.quantizer),
    )
    budget = replace(budget, **budget_values)
    if base.budget == EVAL and budget.steps:
        raise UsageError(f"--set budget.steps: expected none, since {lacking}; got {budget.steps}")
    budget = replace(budget, steps=stretch * budget.steps)
    job = Job(
        cell=cell,
        suite=suite,
        quant=spec,
        budget=budget,
        config=method.Config(**values),
        start=start,
        weights=None if start else weights,
        skip=lacking if method.trains and not budget.steps else "",
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
            raise unknown("owner of a setting", owner, owners)
