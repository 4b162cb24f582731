"""How a study was made: its protocol, settings, limits, and the commands that reproduce it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flatqat.bench.plan.command_lines import commands
from flatqat.bench.records.sections import POOLED, Section, problems
from flatqat.bench.records.store import Store
from flatqat.bench.study.compare import OOD, MethodRuns
from flatqat.bench.study.sentences import bits_in_markdown, detectable, half_widths
from flatqat.bench.study.study import Study
from flatqat.spec import Record
from flatqat.spec.reading import to_plain

ONE_SEED = "With one seed every number speaks of these training runs alone, not of the methods."
SEVERAL_SEEDS = (
    "An interval holds the scatter of seeds and of images, with few degrees of freedom where seeds are few: "
    "it is about a new training of these methods by this recipe, scored on other images of the same kind."
)


def how_it_was_made(section: Section, members: Sequence[Study], store: Store) -> list[str]:
    """Return the last part of the page, as lines."""
    records = [record for rows in section.rows.values() for record in rows]
    first = members[0].baseline
    record = next(iter(first.records.values()))
    folder = folder_of(store)
    options = f"--against {first.method} --suite {record.cell.suite} --results {folder}"
    options += f" {section.chosen}" if section.chosen else ""
    return [
        "## How it was made",
        "",
        f"{section.protocol}.{_pooled(section, members)}",
        "",
        f"- Start: {_each(r.protocol.parent for r in _roots(records))}.",
        f"- Recipe `{record.cell.recipe}`: {_settings(to_plain(record.protocol.recipe))}.",
        *(f"- {bits_in_markdown(study)}: {_settings(_quant(study))}." for study in members),
        *(f"- `{name}`: {_settings(settings)}." for name, settings in _methods(members) if settings),
        f"- Computed with {_settings(_environment(records))}.",
        *(f"- Not in the tables: {line}." for line in problems(section)),
        "",
        "What limits it:",
        "",
        *(f"- {bits_in_markdown(study)}: {_limits(study)}" for study in members),
        f"- {SEVERAL_SEEDS if len(first.records) > 1 else ONE_SEED}",
        "- One suite, one model and one recipe: nothing here says that it holds for others.",
        "",
        "The records are made by these commands, and this page by the last one:",
        "",
        *(f"    {line}" for line in commands(records, folder)),
        f"    flatqat bench report --format study {options} --output PAGE",
    ]


def folder_of(store: Store) -> str:
    """Return the results folder as a reader of the project would name it, wherever it lies here."""
    root = store.root.absolute()
    return f"results/{root.name}" if root.parent.name == "results" else root.name


def _roots(records: Sequence[Record]) -> Sequence[Record]:
    """Return the records of cells that start from no other; all if there are none."""
    return [record for record in records if not record.cell.parent] or records


def _pooled(section: Section, members: Sequence[Study]) -> str:
    """Return what to know of differences of some rows alone, whose scatter over seeds is pooled."""
    tested = any(c.p is not None for study in members for c in study.main)
    return f" Δ: {POOLED}." if tested and section.pools_fewer else ""


def _limits(study: Study) -> str:
    record = next(iter(study.baseline.records.values()))
    low, middle, high = half_widths(study)
    limits = (
        f"{record.protocol.recipe.steps:,} steps, {record.scores['id']['top1'].n:,} images a shift, "
        f"{len(study.baseline.records)} seeds. The intervals of Δ OOD reach {middle:.2f} points to each side "
        f"({low:.2f} to {high:.2f})"
    )
    if not any(c.p is not None for c in study.main):
        return f"{limits}."
    return (
        f"{limits}; after the correction a true difference of {detectable(study)} would be found in 80% of "
        f"such studies. {_scatter(study)}"
    )


def _scatter(study: Study) -> str:
    """Say which differences are judged by a scatter over seeds of their own."""
    tested = [c for c in study.main if c.what == OOD and c.p is not None]
    own = [f"`{c.method}`" for c in tested if c.estimate.seed_freedom < len(study.baseline.records)]
    if not own:
        return "The scatter over seeds of OOD is pooled over all methods."
    if len(own) == len(tested):
        return "The scatter over seeds of OOD is not pooled: each difference is judged by its own."
    others = ", ".join(own)
    return f"The scatter over seeds of OOD is pooled over all methods but {others}, each judged by its own."


def _quant(study: Study) -> Mapping[str, Any]:
    quant = next(iter(study.baseline.records.values())).protocol.quant
    return {**to_plain(quant), "layer_bits": dict(quant.layer_bits)}


def _methods(members: Sequence[Study]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return all settings of every method, once."""
    shown: dict[str, MethodRuns] = {}
    for study in members:
        for runs in study.shown:
            shown.setdefault(runs.method, runs)
    return [(name, next(iter(runs.records.values())).protocol.method) for name, runs in shown.items()]


def _environment(records: Sequence[Record]) -> dict[str, str]:
    """Return versions, device and threads; several where cells differ."""
    environments = [each.to_dict() for record in records for each in record.environments]
    rows = [{**e.pop("packages"), **_flat(e.pop("cuda", {})), **e} for e in environments]
    names = dict.fromkeys(name for environment in rows for name in environment)
    return {name: _each(environment.get(name) for environment in rows) for name in names}


def _flat(cuda: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of CUDA by names of their own."""
    known = {"CUDA": cuda.get("version"), "cuDNN": cuda.get("cudnn"), "driver": cuda.get("driver")}
    return {**known, **cuda.get("flags", {})} if cuda else {}


def _each(values: Iterable[Any]) -> str:
    """Return the different values, sorted."""
    return " or ".join(sorted({str(value) for value in values if value is not None})) or "-"


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_text(value)}" for key, value in sorted(values.items()))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return _settings(value) or "none"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
