"""From the request to the list of cells, all of it checked before anything is computed."""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from flatqat import registry
from flatqat.bench.plan.networks import EVAL, BaseCell, Networks, base_cell_of
from flatqat.bench.plan.of_method import nothing_to_do, owners, step_multiplier
from flatqat.bench.plan.own_code import code_hash
from flatqat.bench.plan.request import DEFAULT_SEEDS, Request
from flatqat.bench.plan.settings import Settings, changed, configure, sweep
from flatqat.blame import asked
from flatqat.errors import PluginError, StoreError, UsageError, choose, found, listed
from flatqat.spec import Cell, QuantSpec, Recipe
from flatqat.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A cell with everything its names stand for.

    Attributes:
        parent: The job whose trained weights this one starts from, if any.
        weights: The file that it starts from where there is no parent; None for random weights.
        skip: Why the job cannot run; empty if it can.
        scored: False for a job that is trained only because others start from it.
    """

    cell: Cell
    suite: Suite
    quant: QuantSpec
    recipe: Recipe
    config: Any
    parent: "Job | None"
    weights: Path | None = None
    skip: str = ""
    scored: bool = True

    @property
    def method(self) -> type[Any]:
        """The class of its method, a subclass of `flatqat.methods.base.Method`."""
        method: type[Any] = registry.load(registry.METHODS, self.cell.method)
        return method

    @property
    def trains(self) -> bool:
        """Whether the method takes a step, so that another seed gives another network."""
        return bool(self.method.steps(self.recipe))

    @property
    def title(self) -> str:
        """For progress lines: `cifar:resnet20 qat 4 seed 0`, `tiny anchor(strength=0.5) 4 seed 0, lr=0.1`."""
        cell, target = self.cell, self.cell.target
        method, recipe = (
            ", ".join(f"{key}={value}" for key, value in args)
            for args in (cell.method_args, cell.recipe_args)
        )
        method, recipe = method and f"({method})", recipe and f", {recipe}"
        quant = "" if cell.quant == cell.method else f" {cell.bits}"
        steps = f" {cell.step_multiplier}x steps" if cell.step_multiplier > 1 else ""
        adapted = f", adapted {cell.adapt}" if cell.adapt else ""
        what = f"{cell.model} {cell.method}{method}{quant}{steps} seed {cell.seed}{recipe}{adapted}"
        return f"{target} {what}" if target else what


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Jobs in an order in which every parent comes before the jobs that start from it."""

    request: Request
    jobs: tuple[Job, ...]
    networks: Networks

    @property
    def suites(self) -> list[Suite]:
        """Every suite once; the members of a family whose split depends on the seed count separately."""
        return list({job.suite.key: job.suite for job in self.jobs}.values())

    def scored(self) -> list[Job]:
        """Return the jobs that get a record."""
        return [job for job in self.jobs if job.scored]


MATCHED_PASSES = 2  # forward and backward passes for each step of the recipe, as SAM and its relatives take


def make_plan(request: Request) -> Plan:
    """Resolve every name and setting of a request.

    Raises UsageError if a name, a setting or a combination does not exist, PluginError if a plugin file is
    none, WeightsError if the weights do not fit a model, and StoreError if the results folder cannot be one.
    """
    if not request.suites:
        raise UsageError("Request.suites: expected at least one suite, got none")
    registry.forget_edited()
    for file in request.plugins:
        registry.add_plugin(Path(file))
    _check_settings(request)
    specs = _specs(request)
    if (got := found(request.results)) not in ("a folder", "none"):
        problem = f"results folder {request.results}: expected a folder, got {got}"
        raise StoreError(f"{problem}; choose another with --results")
    jobs: dict[str, Job] = {}
    suites: dict[str, Suite] = {}  # the same object for all seeds, so that each shift is read once
    networks = Networks(request, specs)
    for name, seed in product(request.suites, request.seeds or DEFAULT_SEEDS):
        for member in members(name, seed):
            if member.key not in suites:
                suites[member.key] = member.on_disk(request.data_root)
            suite = suites[member.key]
            for model in request.models or (suite.default_model,):
                own = _jobs_of(base_cell_of(suite, model, seed, request, networks), request)
                repeats = request.seeds is None and seed != DEFAULT_SEEDS[0]
                if not repeats or any(job.trains for job in own.values()):
                    jobs |= own
    return Plan(request=request, jobs=tuple(jobs.values()), networks=networks)


def _jobs_of(base: BaseCell, request: Request) -> dict[str, Job]:
    """Return the jobs of all methods, bits and settings from one base, by the ids of their cells."""
    jobs: dict[str, Job] = {}
    most_passes = MATCHED_PASSES if request.compute_matched else 1
    for method in request.methods:
        quantizes = registry.load(registry.METHODS, method).quantizes
        variants = list(sweep(request.settings, owners(method)))
        for spec, settings in product(base.specs if quantizes else [QuantSpec()], variants):
            job = _add(jobs, base, method, spec, settings, most_passes)
            jobs[job.cell.id] = replace(job, scored=True)
    return jobs


def members(name: str, seed: int) -> list[Suite]:
    """Return the suite called `name`; of a family all members (`pacs`) or one (`pacs@sketch`)."""
    family_name, at, target = name.partition("@")
    suite: Suite = registry.load(registry.SUITES, family_name)
    if suite.member is None and at:
        raise UsageError(f"suite {family_name!r}: expected no target after it, got {target!r}")
    if suite.member is None:
        return [suite]
    targets = [choose(f"target of {family_name}", target, suite.targets)] if at else suite.targets
    expected = f"a Suite {family_name}@TARGET from member"
    made = [asked(registry.SUITES, family_name, expected, Suite, suite.member, one, seed) for one in targets]
    for one, target in zip(made, targets, strict=True):
        if one.name != f"{family_name}@{target}":
            raise PluginError(f"suite {family_name}: expected {expected}, got {one.name!r}; fix the plugin")
    return made


def suite_of(cell: Cell) -> Suite:
    """Return the suite of a cell, without data."""
    (suite,) = members(cell.suite, cell.seed)
    return suite


def suite_or_family(name: str) -> Suite:
    """Return a suite or a family by its name (`pacs`), or one member of a family (`pacs@sketch`)."""
    suite: Suite = members(name, 0)[0] if "@" in name else registry.load(registry.SUITES, name)
    return suite


def _specs(request: Request) -> list[QuantSpec]:
    """Return what to quantize to. Raises UsageError on no bits for a method that needs some."""
    needing = [name for name in request.methods if registry.load(registry.METHODS, name).quantizes]
    if needing and not request.bits:
        raise UsageError(f"Request.bits: expected bits such as '4' for {listed(needing)}, got none")
    keep = None if request.keep is None else ",".join(request.keep)
    layer_bits = ",".join(request.layer_bits) or None
    specs = [QuantSpec.parse(text, keep=keep, layer_bits=layer_bits) for text in request.bits]
    for spec in specs:
        registry.load(registry.QUANTIZERS, spec.quantizer)
    return specs


def _add(
    jobs: dict[str, Job], base: BaseCell, name: str, spec: QuantSpec, settings: Settings, passes: int = 1
) -> Job:
    """Return the job of a method, added to `jobs` after its parent unless they are there already.

    A method with fewer passes per step than `passes` gets proportionally more steps; its parent does not.
    """
    method, suite, weights = registry.load(registry.METHODS, name), base.suite, base.weights
    if weights and method.parent is None:
        raise UsageError(f"method {name!r} trains from scratch and takes no --weights; leave one of them out")
    parent = None
    if method.parent and not (weights and registry.load(registry.METHODS, method.parent).parent is None):
        parent = _add(jobs, base, method.parent, QuantSpec(), settings)
    values = configure(method.Config, name, settings.get(name, {}))
    config = method.Config(**values)
    recipe, recipe_args = _recipe_of(base, settings)
    multiplier = step_multiplier(name, config, recipe, passes)
    recipe = replace(recipe, steps=multiplier * recipe.steps)
    cell = replace(
        base.cell,
        method=name,
        step_multiplier=multiplier,
        method_version=method.version,
        quant_version=base.quant_version(spec),
        quant=str(spec),
        keep=spec.keep_text,
        layer_bits=spec.layer_bits_text,
        method_args=changed(method.Config(), values),
        recipe_args=recipe_args,
        preprocessing=base.preprocessing(recipe),
        parent=parent.cell.training_id if parent else None,
        plugins=code_hash(suite, name, base.cell.model, spec.quantizer),
    )
    job = Job(
        cell=cell,
        suite=suite,
        quant=spec,
        recipe=recipe,
        config=config,
        parent=parent,
        weights=None if parent else weights,
        skip=base.untrainable_reason if method.trains and not recipe.steps else nothing_to_do(name, spec),
        scored=False,
    )
    return jobs.setdefault(cell.id, job)


def _recipe_of(base: BaseCell, settings: Settings) -> tuple[Recipe, tuple[tuple[str, object], ...]]:
    """Return the recipe of a suite as a user changed it, and what differs from the suite's own."""
    default = base.suite.recipes[base.cell.recipe]
    values = configure(Recipe, "recipe", settings.get("recipe", {}))
    recipe = replace(default, **values)
    if base.cell.recipe == EVAL and recipe.steps:
        reason = base.untrainable_reason
        raise UsageError(f"--set recipe.steps: expected none, since {reason}; got {recipe.steps}")
    if "momentum" in values and recipe.optimizer != "sgd":
        expected = f"expected none with optimizer={recipe.optimizer}, got {recipe.momentum}"
        raise UsageError(f"--set recipe.momentum: {expected}; add recipe.optimizer=sgd or leave it out")
    return recipe, changed(default, values)


def _check_settings(request: Request) -> None:
    known = set().union(*map(owners, request.methods))
    for owner, values in request.settings.items():
        if owner not in known and owner in registry.names(registry.METHODS):
            raise UsageError(
                f"--set {owner}.{next(iter(values))}: expected the settings of a method that is run, "
                f"{', '.join(sorted(known - {'recipe'}))}; add {owner} to --method"
            )
        choose("owner in --set", owner, known)
