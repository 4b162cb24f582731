"""From what the user asked for to the list of cells, checked whole before anything is computed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flatqat import registry
from flatqat.bench.settings import Settings, changed, configure
from flatqat.errors import StoreError, UsageError, WeightsError, unknown
from flatqat.spec import Budget, Cell, QuantSpec, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run and how. No models and no budget stand for the suite's own defaults."""

    suites: tuple[str, ...]
    methods: tuple[str, ...]
    bits: tuple[str, ...]
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    budget: str | None = None
    settings: Settings = field(default_factory=dict)
    weights: Path | None = None
    data_root: Path | None = None
    results: Path = Path("results")
    device: str = "auto"
    amp: bool = False
    threads: int = 1
    limit: int | None = None
    flatness: bool = True
    rerun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A cell with everything its names stand for. Unscored jobs are only trained, as starts of others."""

    cell: Cell
    suite: Suite
    quant: QuantSpec
    budget: Budget
    config: Any
    start: "Job | None"
    scored: bool = True

    @property
    def title(self) -> str:
        """For progress lines: `cifar:resnet20 qat 4 seed 0`."""
        quant = "" if self.quant.is_fp else f" {self.quant}"
        return f"{self.cell.model} {self.cell.method}{quant} seed {self.cell.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Jobs in an order in which every start comes before what starts from it."""

    request: Request
    jobs: tuple[Job, ...]

    @property
    def suites(self) -> list[Suite]:
        return list({job.suite.name: job.suite for job in self.jobs}.values())

    def scored(self, suite: Suite | None = None) -> list[Job]:
        return [job for job in self.jobs if job.scored and suite in (None, job.suite)]


MOST_SEEDS = 1000


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` is how many (0, 1, 2); `0,2` is which; `7,` is the one seed 7."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = all(part.isascii() and part.isdecimal() for part in parts)
    if not parts or not numbers or ("," not in text and not 1 <= int(text) <= MOST_SEEDS):
        raise UsageError(f"--seeds: expected how many (3) or which (0,1,2), got {text!r}")
    return tuple(map(int, parts)) if "," in text else tuple(range(int(text)))


def make_plan(request: Request) -> Plan:
    """Resolve every name and setting. Raises UsageError or WeightsError before any work is done."""
    specs = [QuantSpec.parse(text) for text in request.bits]
    for spec in specs:
        registry.load(registry.QUANTIZERS, spec.quantizer)
    _check_settings(request)
    if request.results.exists() and not request.results.is_dir():
        raise StoreError(
            f"results folder {request.results}: expected a folder, got a file; choose another with --results"
        )
    weights = _sha256(request.weights) if request.weights else None
    jobs: dict[str, Job] = {}
    for name in request.suites:
        suite: Suite = registry.load(registry.SUITES, name)
        budget = request.budget or suite.default_budget
        if budget not in suite.budgets:
            raise unknown(f"budget of {name}", budget, suite.budgets)
        for model in request.models or (suite.default_model,):
            _check_model(model, suite, request.weights)
            for seed in request.seeds:
                base = Cell(
                    suite=name,
                    suite_version=suite.version,
                    model=model,
                    method="",
                    quant="fp",
                    budget=budget,
                    seed=seed,
                    weights=weights,
                    limit=request.limit,
                    amp=request.amp,
                )
                for method, spec in _variants(request.methods, specs):
                    job = _add(jobs, suite, base, method, spec, request.settings)
                    jobs[job.cell.id] = replace(job, scored=True)
    return Plan(request=request, jobs=tuple(jobs.values()))


def _variants(methods: tuple[str, ...], specs: list[QuantSpec]) -> Iterator[tuple[str, QuantSpec]]:
    """Every method at every bit-width; a method that never quantizes once, in floating point."""
    for method in methods:
        quantizes = registry.load(registry.METHODS, method).quantizes
        for spec in specs if quantizes else [QuantSpec()]:
            yield method, spec


def _add(
    jobs: dict[str, Job], suite: Suite, base: Cell, name: str, spec: QuantSpec, settings: Settings
) -> Job:
    """The job for a method, added with the one it starts from, unless they are there already."""
    method = registry.load(registry.METHODS, name)
    from_file = base.weights is not None
    if from_file and method.start is None:
        raise UsageError(f"method {name!r} trains from scratch and takes no --weights; leave one of them out")
    start = None
    if method.start and not (from_file and registry.load(registry.METHODS, method.start).start is None):
        start = _add(jobs, suite, base, method.start, QuantSpec(), settings)
    values = configure(method.Config, name, settings.get(name, {}))
    budget = suite.budgets[base.budget]
    budget_values = configure(Budget, "budget", settings.get("budget", {}))
    cell = replace(
        base,
        method=name,
        method_version=method.version,
        quant=str(spec),
        method_args=changed(method.Config(), values),
        budget_args=changed(budget, budget_values),
        parent=start.cell.training_id if start else None,
        plugins=_plugins(suite.name, name, base.model, spec.quantizer),
    )
    job = Job(
        cell=cell,
        suite=suite,
        quant=spec,
        budget=replace(budget, **budget_values),
        config=method.Config(**values),
        start=start,
        scored=False,
    )
    return jobs.setdefault(cell.id, job)


def _plugins(suite: str, method: str, model: str, quantizer: str) -> str | None:
    """A hash of the plugin files that a cell is made of, since editing one changes its numbers."""
    parts = (
        (registry.SUITES, suite),
        (registry.METHODS, method),
        (registry.MODELS, model.partition(":")[0]),
        (registry.QUANTIZERS, quantizer),
    )
    files = [file for kind, name in parts if (file := registry.plugin_file(kind, name))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12] if files else None


def _check_settings(request: Request) -> None:
    owners = {"budget", *request.methods}
    for name in request.methods:
        while (name := registry.load(registry.METHODS, name).start) is not None:
            owners.add(name)
    for owner in request.settings:
        if owner not in owners:
            raise unknown("owner of a setting", owner, owners)


def _check_model(model: str, suite: Suite, weights: Path | None) -> None:
    """Build the network once, and load the weights into it, so that a misfit shows before training."""
    from flatqat.models._base import build
    from flatqat.models._weights import load_weights_

    net = build(model, classes=suite.classes, seed=0).net
    if weights is not None:
        load_weights_(net, weights)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"weights {path}: expected a readable file ({error.strerror})") from error
