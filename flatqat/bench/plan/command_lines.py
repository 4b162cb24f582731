"""The commands that reproduce stored cells."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from flatqat import registry
from flatqat.bench.plan.own_code import parts_of
from flatqat.errors import FlatqatError
from flatqat.spec import Args, Cell, Flatness, Record
from flatqat.suite import Suite

V = TypeVar("V")


def commands(records: Sequence[Record], results: str, among: Sequence[Record] = ()) -> list[str]:
    """Return `flatqat bench run ...` lines that plan exactly these cells, one for each set of settings.

    DATA stands for the data root where there is one, the name of a weights file for its path, and FILE for
    plugin files, which records do not name. Other records, `among` which these are, may name a weights file.
    """
    groups: dict[tuple[str, ...], dict[str, set[tuple[str, int]]]] = {}
    for record in records:
        cell = record.cell
        methods = groups.setdefault(_options(record, among or records), {})
        methods.setdefault(cell.method, set()).add((cell.quant, cell.seed))
    lines = []
    for options, methods in groups.items():
        for runs, members in _inverted({name: tuple(sorted(found)) for name, found in methods.items()}):
            seeds_of = {bits: tuple(seed for other, seed in runs if other == bits) for bits, _ in runs}
            for seeds, bits in _inverted(seeds_of):  # so that each line plans only pairs that were run
                parts = ["--method", ",".join(members), "--bits", ",".join(bits), "--seeds", _seeds(seeds)]
                lines.append(shlex.join(["flatqat", "bench", "run", *parts, *options, "--results", results]))
    return lines


def _options(record: Record, records: Sequence[Record]) -> tuple[str, ...]:
    """Return all options but method, bits and seeds."""
    cell = record.cell
    options = ["--suite", cell.suite, "--model", cell.model, "--recipe", cell.recipe]
    options += ["--data-root", "DATA"] if _needs_data(cell.suite) else []
    options += ["--weights", _weights_name(cell.weights, records)] if cell.weights else []
    options += ["--limit", str(cell.limit)] if cell.limit else []
    options += ["--window", cell.window] if cell.window else []
    options += ["--adapt", cell.adapt] if cell.adapt else []
    options += ["--keep", cell.keep] if cell.keep else []
    options += ["--layer-bits", cell.layer_bits] if cell.layer_bits else []
    options += _settings(cell.method, cell.method_args) + _settings("recipe", cell.recipe_args)
    options += ["--amp"] * cell.amp + ["--compute-matched"] * (cell.step_multiplier > 1)
    options += ["--compile"] * record.train.compiled
    options += ["--plugin", "FILE"] if cell.plugins and _has_plugins(cell) else []
    options += ["--threads", str(record.env.threads)] if record.env.threads > 1 else []
    spaces = list(record.flatness.spaces)
    if record.flatness == Flatness():
        options.append("--no-flatness")
    elif spaces and spaces != ["quantized"]:
        options += ["--space", ",".join(spaces)]
    return tuple(options)


def _has_plugins(cell: Cell) -> bool:
    """Whether a part of a cell is none of the built-in ones; the file of a `file:` model is in its name."""
    parts = parts_of(cell.suite.partition("@")[0], cell.model, cell.quant_spec.quantizer, cell.method)
    return not all(registry.is_built_in(kind, name) for kind, name in parts)


def _needs_data(suite: str) -> bool:
    """Whether a suite has files in the data root; one that is not known here may have some."""
    try:
        known: Suite = registry.load(registry.SUITES, suite.partition("@")[0])
    except FlatqatError:
        return True
    return known.needs_data


def _weights_name(digest: str, records: Iterable[Record]) -> str:
    """Return the name of a weights file, from the record of a cell that starts from it."""
    names = (r.protocol.parent for r in records if r.cell.weights == digest and not r.cell.parent)
    return str(next((name for name in names if name), "WEIGHTS"))


def _settings(owner: str, args: Args) -> list[str]:
    return [part for key, value in args for part in ("--set", f"{owner}.{key}={_text(value)}")]


def _text(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _inverted(mapping: Mapping[str, V]) -> Iterable[tuple[V, list[str]]]:
    """Return each value with all keys that have it."""
    keys: dict[V, list[str]] = {}
    for key, value in mapping.items():
        keys.setdefault(value, []).append(key)
    return keys.items()


def _seeds(seeds: Sequence[int]) -> str:
    """Return `3` for the seeds 0, 1, 2, else the list: `0,2` or `7,`."""
    if list(seeds) == list(range(len(seeds))):
        return str(len(seeds))
    return ",".join(map(str, seeds)) + "," * (len(seeds) == 1)
