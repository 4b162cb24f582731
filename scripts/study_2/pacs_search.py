"""The search of part 3 of the second study: PACS's learning rate and number of steps, chosen on `val`."""

from itertools import product

from flatqat.bench.records.store import Store
from flatqat.spec import Cell, Record
from flatqat.spec.reading import Args
from scripts.study_2.choice import SEED, best, choice

SEARCHED, RATES, STEPS = "photo", (0.001, 0.003, 0.01, 0.03), (300, 600)


def chosen(store: Store) -> Args | None:
    """Return the settings of the recipe that `val` chose, or None before the search has ended."""
    searched = _searched(store)
    return best(searched).cell.recipe_args if searched else None


def lines(store: Store) -> list[str]:
    """Return what was chosen among what, as lines of the page; some runs have to be stored."""
    searched = _searched(store)
    return [
        "Learning rate and steps, chosen by top-1 of full precision on all images of `val`, with seed "
        f"{SEED} and target {SEARCHED}. Its sources are the other three domains, which are targets in turn, "
        "so images of later targets influenced these two numbers, equally for all rows."
        f"{_edge(best(searched).cell)}",
        "",
        *choice(searched, {"lr": None, "steps": None}),
    ]


def _edge(chosen: Cell) -> str:
    """Say it if the largest number of steps was chosen: more might be better."""
    longest = _settings(chosen)[1] == max(STEPS)
    return f" {max(STEPS)} steps is the longest training of the search; more might be better." * longest


def _searched(store: Store) -> list[Record]:
    """Return the runs among which the learning rate and the steps are chosen; empty before all have ended.

    A run that fails is not chosen, nor one whose settings are not the plan's.
    """
    searched = [
        record
        for record in store.records(f"pacs@{SEARCHED}")
        if (record.cell.method, record.cell.seed) == ("fp", SEED)
        and _settings(record.cell) in set(product(RATES, STEPS))
    ]
    whole = len({_settings(record.cell) for record in searched}) == len(RATES) * len(STEPS)
    return [r for r in searched if r.status == "done"] if whole else []


def _settings(cell: Cell) -> tuple[object, object]:
    recipe = dict(cell.recipe_args)
    return recipe.get("lr"), recipe.get("steps")
