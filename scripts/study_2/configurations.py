"""The configurations of part 5 of the second study: one bit-width, methods with their settings, recipes."""

import sys
from collections.abc import Sequence
from itertools import product

from flatqat.bench.records.sections import method_of
from flatqat.bench.records.store import Store
from flatqat.spec import Cell, Recipe, Record
from scripts.study_2.rows import MODEL, SUITE

LIMIT, STEPS, BITS, PLANNED = 2000, 100, "3", 120
RECIPES = tuple(product((0.003, 0.01, 0.03), (0.0001, 0.001)))
"""Learning rate and weight decay."""
OWN = Recipe(pretrain_steps=0, steps=STEPS)
"""What a recipe has that a cell does not name."""

Setting = tuple[Record, ...]
"""The runs of a method with its settings, one for each of RECIPES."""


def configurations(store: Store) -> list[Record]:
    """Return the runs of the grid, one a configuration, also those that failed.

    Raises SystemExit if two are of one configuration.
    """
    found: dict[tuple[str, tuple[float, float]], Record] = {}
    for record in store.records(SUITE):
        if _is_of_grid(record.cell):
            before = found.setdefault((method_of(record.cell), _recipe(record.cell)), record)
            if before is not record:
                sys.exit(f"expected one run, got {before.cell.label} ({before.cell.id}) and {record.cell.id}")
    return list(found.values())


def _is_of_grid(cell: Cell) -> bool:
    known = (cell.model, cell.seed, cell.limit, cell.bits, cell.adapt, cell.amp)
    return (
        known == (MODEL, 0, LIMIT, BITS, None, False)
        and dict(cell.recipe_args).get("steps") == STEPS
        and {name for name, _ in cell.recipe_args} <= {"steps", "lr", "weight_decay"}
        and _recipe(cell) in RECIPES
    )


def _recipe(cell: Cell) -> tuple[float, float]:
    """Return the learning rate and the weight decay; a cell names those that are not the recipe's own."""
    values = {name: float(value) for name, value in cell.recipe_args if isinstance(value, int | float)}
    return values.get("lr", OWN.lr), values.get("weight_decay", OWN.weight_decay)


def settings(records: Sequence[Record]) -> dict[str, Setting]:
    """Return the finished runs of each method with its settings that has finished all recipes."""
    found: dict[str, dict[tuple[float, float], Record]] = {}
    for record in records:
        if record.status == "done":
            found.setdefault(method_of(record.cell), {})[_recipe(record.cell)] = record
    whole = {label: runs for label, runs in found.items() if len(runs) == len(RECIPES)}
    return {label: tuple(runs[recipe] for recipe in RECIPES) for label, runs in whole.items()}
