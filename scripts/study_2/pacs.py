"""Part 3 of the second study: PACS, one domain left out at a time, with a pretrained network."""

from collections.abc import Sequence
from itertools import product

from flatqat.bench.records.paired import differences
from flatqat.bench.records.store import Store
from flatqat.spec import Cell, Record
from flatqat.spec.reading import Args
from scripts.study_2.choice import SEED, best, choice
from scripts.study_2.part import LEVEL, Part, lacking, p_cell, table
from scripts.study_2.rows import (
    AT_ID,
    FP,
    Difference,
    Row,
    Rows,
    collapsed,
    corrected,
    in_words,
    interval,
    mean,
)

DOMAINS = ("art_painting", "cartoon", "photo", "sketch")
METHODS = ("qat", "anchor", "sagm", "swad")
BITS = ("w7a32", "4", "3")
CONTROL = "frozen-convolutions"
SEARCHED, RATES, STEPS = "photo", (0.001, 0.003, 0.01, 0.03), (300, 600)
PLANNED, FEWEST_SEEDS = range(3), 2
SETTINGS_IN_WORDS = (
    "EfficientNet-Lite0 from its ImageNet weights with a new last layer, which starts as DomainBed's does "
    "(PyTorch's linear layer), images of 96 pixels, 48 a batch (16 of each source), SGD with momentum 0.9, a "
    "half cosine and no weight decay. As in SWAD's fork of DomainBed, the statistics of BatchNorm stay those "
    "of the file, which were taken on larger images, and its scales and shifts are trained."
)


def part(store: Store) -> Part | None:
    """Return this part of the page, or None before full precision has a seed on all domains."""
    domains = by_domain(store)
    seeds = _seeds(domains, FP) if domains else []
    if not seeds:
        return None
    found: list[Difference] = []
    p: list[float | None] = []
    for bits in BITS:
        planned = _planned(bits)
        of_bits = [d for row in planned if (d := minus_fp(domains, row))]
        found += of_bits
        p += corrected(of_bits, PLANNED, len(planned))
    levels = _levels(domains, FP, seeds, ood=True)
    cells = [_cells(domains, FP, seeds, ["-", "-"])]
    cells += [
        _cells(domains, d.row, d.seeds, [interval(d.estimate), p_cell(of_row)])
        for d, of_row in zip(found, p, strict=True)
    ]
    names = [name.replace("_", " ") for name in DOMAINS]
    lines = [
        table(["method", "bits", "seeds", "ID", *names, "mean", "Δ mean", "p"], cells),
        "",
        "Top-1 in percent on the 80% of the domain left out that DomainBed tests on, with the weights of the "
        "last step: by the plan, `val` chooses the learning rate and the number of steps, and no checkpoint "
        "is selected; SWAD averages over the valley of the loss on `val`. ID: on `val` of the sources, the "
        "mean over domains left out. Δ: points above full precision on the same seeds, the mean over "
        "domains, with its 95% interval. p: after Holm's correction over the rows that the plan has at a "
        f"bit-width.{_collapsed(domains, [FP, *(d.row for d in found)])}",
        "",
        f"`{CONTROL}`: convolutions are frozen from the middle of training on, in full precision or rounded. "
        "The rounded ones are rounded from the middle on, too, and keep their step sizes, where QAT rounds "
        "from the start and trains them: their difference from QAT is not that of frozen weights alone.",
        "",
        SETTINGS_IN_WORDS,
        "",
        "Learning rate and steps, chosen by top-1 of full precision on all images of `val`, with seed "
        f"{SEED} and target {SEARCHED}. Its sources are the other three domains, which are targets in turn: "
        "their images have "
        "a part in these two numbers, the same for all rows:",
        "",
        *choice(_searched(store), {"lr": None, "steps": None}),
    ]
    each = ", ".join(f"{name} {level:.1f}" for name, level in zip(names, levels, strict=True))
    sentences = [
        f"**PACS, one domain left out.** Full precision reaches {_mean(levels):.1f}% top-1 in the mean over "
        f"domains ({each}; seed{'s' * (len(seeds) > 1)} {in_words(seeds)})."
    ]
    tested = [(d, of_row) for d, of_row in zip(found, p, strict=True) if of_row is not None]
    if tested:
        sure = [
            f"{d.row.method} at {d.row.bits} {interval(d.estimate)}"
            f"{' (collapsed in ID, too)' * any(collapsed(one, d.row) for one in domains)}"
            for d, p in tested
            if p < LEVEL
        ]
        if open_ := [d for d, p in tested if p >= LEVEL]:
            reach = max(max(-d.estimate.low, d.estimate.high) for d in open_)
            least, most = (end(map(detectable, open_)) for end in (min, max))
            sure.append(
                f"undecided: {len(open_)} of {len(tested)} rows, whose 95% intervals reach {reach:.1f} "
                f"points at most (differences of {least:.1f} to {most:.1f} points would have been found in "
                "80% of such studies)"
            )
        sentences.append(f"**PACS, minus full precision**: {'; '.join(sure)}.")
    count = sum(len(_planned(bits)) for bits in BITS)
    lacks = lacking(count - len(tested), count, f"rows of PACS on {len(PLANNED)} seeds")
    return Part(title="PACS", found=sentences, lines=lines, lacks=lacks)


def by_domain(store: Store) -> list[Rows]:
    """Return the rows with each domain left out, with the settings that the search chose; empty before it."""
    settings = chosen(store)
    if settings is None:
        return []

    def wanted(cell: Cell) -> bool:
        return cell.seed in PLANNED and cell.recipe_args == settings

    return [Rows.of(store, f"pacs@{name}", wanted) for name in DOMAINS]


def minus_fp(domains: list[Rows], row: Row) -> Difference | None:
    """Return a row minus full precision in the mean over domains, or None before two shared seeds."""
    seeds = _seeds(domains, FP, row)
    if len(seeds) < FEWEST_SEEDS:
        return None
    shares = [{r: of_domain.runs(r, seeds).shares(of_domain.ood) for r in (FP, row)} for of_domain in domains]
    estimate = differences(shares, FP)[row]
    return Difference(row=row, seeds=tuple(seeds), estimate=estimate)


def detectable(found: Difference) -> float:
    """Return the true difference that 80% of such studies would find, with Holm's first factor."""
    return found.estimate.detectable(LEVEL / len(_planned(found.row.bits)))


def chosen(store: Store) -> Args | None:
    """Return the settings of the recipe that `val` chose, or None before the search has ended."""
    searched = _searched(store)
    return best(searched).cell.recipe_args if searched else None


def _planned(bits: str) -> list[Row]:
    controls = [Row(CONTROL, "fp"), Row(CONTROL, bits)] if bits == BITS[0] else []
    return [*(Row(method, bits) for method in METHODS), *controls]


def _cells(domains: list[Rows], row: Row, seeds: Sequence[int], last: list[str]) -> list[str]:
    at_id, levels = (_levels(domains, row, seeds, ood=ood) for ood in (False, True))
    shown = [f"{level:.1f}" for level in (_mean(at_id), *levels, _mean(levels))]
    return [row.method, row.bits, in_words(seeds), *shown, *last]


def _levels(domains: list[Rows], row: Row, seeds: Sequence[int], *, ood: bool) -> list[float]:
    """Return the level of a row with each domain left out: on it, or in ID."""
    return [mean(one.runs(row, seeds), one.ood if ood else AT_ID) for one in domains]


def _collapsed(domains: list[Rows], there: Sequence[Row]) -> str:
    """Name the rows that have collapsed in ID, with the domain left out; nothing where none has."""
    lost = [
        f"{row.method} at {row.bits} ({name.replace('_', ' ')} left out)"
        for row in there
        for name, of_domain in zip(DOMAINS, domains, strict=True)
        if collapsed(of_domain, row)
    ]
    return f" [Collapsed](measures.md#extra-gap) in ID: {', '.join(lost)}." if lost else ""


def _mean(levels: Sequence[float]) -> float:
    return sum(levels) / len(levels)


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


def _seeds(domains: list[Rows], *rows: Row) -> list[int]:
    return sorted(set.intersection(*(set(of_domain.seeds(*rows)) for of_domain in domains)))
