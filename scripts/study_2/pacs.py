"""Part 3 of the second study: PACS, one domain left out at a time, with a pretrained network."""

from collections.abc import Sequence
from dataclasses import dataclass

from flatqat.bench.records.paired import SharesBySeed, differences, is_nested
from flatqat.bench.records.store import Store
from flatqat.console.rounded import p_value
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm
from flatqat.spec import Record
from scripts.study_2 import choice
from scripts.study_2.part import Part, table
from scripts.study_2.rows import FP, Row, Rows, in_words, interval, mean

DOMAINS = ("art_painting", "cartoon", "photo", "sketch")
METHODS = ("qat", "anchor", "sagm", "swad")
BITS = ("w7a32", "4", "3")
CONTROL = "frozen-convolutions"
SEARCHED = "photo"
PLANNED_SEEDS, LEVEL = 3, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A row minus full precision in the mean over domains; p is corrected over the plan's of a bit-width."""

    row: Row
    seeds: tuple[int, ...]
    by_domain: tuple[float, ...]
    mean: Estimate
    p: float


def part(store: Store) -> Part | None:
    """Return this part of the page, or None before full precision has a seed on all domains."""
    domains = by_domain(store)
    seeds = _seeds(domains, FP)
    if not seeds:
        return None
    found = [f for bits in BITS for f in of_bits(domains, bits)]
    levels = _levels(domains, FP, seeds)
    cells = [["fp", "fp", in_words(seeds), *_in_words(levels), "-", "-"]]
    for f in found:
        of_row = [f.row.method, f.row.bits, in_words(f.seeds), *_in_words(f.by_domain)]
        cells.append([*of_row, interval(f.mean), p_value(f.p)])
    names = [name.replace("_", " ") for name in DOMAINS]
    lines = [
        table(["method", "bits", "seeds", *names, "mean", "Δ mean", "p"], cells),
        "",
        "Top-1 in percent on the domain left out. Δ: points above full precision on the same seeds, the mean "
        "over domains, with its 95% interval. p: after Holm's correction over the rows that the plan has at "
        f"a bit-width. `{CONTROL}`: convolutions stop in the middle of training, rounded or not.",
    ]
    if search := choice.choice(_searched(store), {"lr": None, "steps": None}):
        words = f"Learning rate and steps, by top-1 on `val` of full precision with seed {choice.SEED}:"
        lines += ["", words, "", *search]
    each = ", ".join(f"{name} {level:.1f}" for name, level in zip(names, levels, strict=True))
    sentences = [
        f"**PACS, one domain left out.** Full precision reaches {sum(levels) / len(levels):.1f}% top-1 in "
        f"the mean over domains ({each})."
    ]
    if found:
        sure = "; ".join(f"{f.row.method} at {f.row.bits} {interval(f.mean)}" for f in found if f.p < LEVEL)
        sentences.append(f"**PACS, minus full precision.** {sure or f'Undecided for all {len(found)} rows'}.")
    return Part(title="PACS", found=sentences, lines=lines, lacks=_lacks(found))


def by_domain(store: Store) -> list[Rows]:
    """Return the rows with each of the domains left out."""
    return [Rows.of(store, f"pacs@{name}", lambda c: c.seed != choice.SEED) for name in DOMAINS]


def _planned(bits: str) -> list[Row]:
    controls = [Row(CONTROL, "fp"), Row(CONTROL, bits)] if bits == BITS[0] else []
    return [*(Row(method, bits) for method in METHODS), *controls]


def _lacks(found: list[Found]) -> list[str]:
    there, planned = {f.row for f in found}, [row for bits in BITS for row in _planned(bits)]
    missing = sum(row not in there for row in planned)
    if missing:
        return [f"{missing} of {len(planned)} rows of PACS"]
    return ["more seeds of PACS"] if any(len(f.seeds) < PLANNED_SEEDS for f in found) else []


def of_bits(domains: list[Rows], bits: str) -> list[Found]:
    """Return the rows that have a seed on all domains, on the seeds that they and full precision share."""
    planned = _planned(bits)
    there = [row for row in planned if _seeds(domains, FP, row)]
    seeds = _seeds(domains, FP, *there)
    if not there or not seeds:
        return []
    shares: list[dict[Row, SharesBySeed]] = [
        {row: of_domain.runs(row, seeds).shares(of_domain.ood) for row in (FP, *there)}
        for of_domain in domains
    ]
    means = differences(shares, FP, nested=is_nested(domains[0].record))
    missing = [1.0] * (len(planned) - len(there))  # they reject nothing
    adjusted = holm([*(means[row].p for row in there), *missing])
    return [
        Found(row=row, seeds=tuple(seeds), by_domain=_levels(domains, row, seeds), mean=means[row], p=p)
        for row, p in zip(there, adjusted, strict=False)
    ]


def _levels(domains: list[Rows], row: Row, seeds: list[int]) -> tuple[float, ...]:
    return tuple(mean(of_domain.runs(row, seeds), of_domain.ood) for of_domain in domains)


def _in_words(levels: Sequence[float]) -> list[str]:
    return [f"{level:.1f}" for level in (*levels, sum(levels) / len(levels))]


def _searched(store: Store) -> list[Record]:
    """Return the runs among which the learning rate and the steps were chosen."""
    of_suite = store.records(f"pacs@{SEARCHED}")
    return [r for r in of_suite if r.cell.seed == choice.SEED and r.status == "done"]


def _seeds(domains: list[Rows], *rows: Row) -> list[int]:
    return sorted(set.intersection(*(set(of_domain.seeds(*rows)) for of_domain in domains)))
