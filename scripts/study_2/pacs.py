"""Part 3 of the second study: PACS, one domain left out at a time, with a pretrained network."""

from dataclasses import dataclass

from flatqat.bench.records.paired import SharesBySeed, differences, is_nested
from flatqat.bench.records.store import Store
from flatqat.console.rounded import p_value
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm
from scripts.study_2.part import Part, table
from scripts.study_2.rows import FP, Row, Rows, in_words, interval, mean

DOMAINS = ("art_painting", "cartoon", "photo", "sketch")
METHODS = ("qat", "anchor", "sagm", "swad")
BITS = ("w7a32", "4", "3")
CONTROL = "frozen-convolutions"
LEVEL, SEARCH_SEED = 0.05, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A row minus full precision in the mean over domains; p is corrected over the rows of its bit-width."""

    row: Row
    by_domain: tuple[float, ...]
    mean: Estimate
    p: float


def part(store: Store) -> Part | None:
    """Return this part of the page, or None before all rows of a bit-width have a seed on all domains."""
    domains = [Rows.of(store, f"pacs@{name}", lambda c: c.seed < SEARCH_SEED) for name in DOMAINS]
    found: list[Found] = []
    for bits in BITS:
        controls = [Row(CONTROL, "fp"), Row(CONTROL, bits)] if bits == BITS[0] else []
        found += _of_bits(domains, [*(Row(method, bits) for method in METHODS), *controls])
    if not found:
        return None
    seeds = _seeds(domains, [FP])
    fp = [mean(of_domain.runs(FP, seeds), of_domain.ood) for of_domain in domains]
    cells = [["fp", "fp", *(f"{value:.1f}" for value in fp), f"{sum(fp) / len(fp):.1f}", "-", "-"]]
    for f in found:
        levels = [f"{value:.1f}" for value in f.by_domain]
        average = sum(f.by_domain) / len(f.by_domain)
        cells.append([f.row.method, f.row.bits, *levels, f"{average:.1f}", interval(f.mean), p_value(f.p)])
    sure = [f for f in found if f.p < LEVEL]
    words = "; ".join(f"{f.row.method} at {f.row.bits} {interval(f.mean)}" for f in sure)
    lines = [
        table(
            ["method", "bits", *(name.replace("_", " ") for name in DOMAINS), "mean", "Δ mean", "p"], cells
        ),
        "",
        f"Top-1 in percent on the domain left out, seeds {in_words(seeds)}. Δ: points above full "
        "precision, the mean over domains, with its 95% interval. p: after Holm's correction over the "
        f"rows of a bit-width. `{CONTROL}`: convolutions stop in the middle of training, rounded or not.",
    ]
    sentence = f"**PACS, minus full precision.** {words or f'undecided for all {len(found)} rows'}."
    return Part(title="PACS", found=[sentence], lines=lines)


def _of_bits(domains: list[Rows], rows: list[Row]) -> list[Found]:
    seeds = _seeds(domains, [FP, *rows])
    if not seeds:
        return []
    shares: list[dict[Row, SharesBySeed]] = []
    levels: dict[Row, list[float]] = {row: [] for row in rows}
    for of_domain in domains:
        runs = {row: of_domain.runs(row, seeds) for row in (FP, *rows)}
        shares.append({row: of_row.shares(of_domain.ood) for row, of_row in runs.items()})
        for row in rows:
            levels[row].append(mean(runs[row], of_domain.ood))
    means = differences(shares, FP, nested=is_nested(domains[0].record))
    adjusted = holm([means[row].p for row in rows])
    return [
        Found(row=row, by_domain=tuple(levels[row]), mean=means[row], p=p)
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _seeds(domains: list[Rows], rows: list[Row]) -> list[int]:
    return sorted(set.intersection(*(set(of_domain.seeds(*rows)) for of_domain in domains)))
