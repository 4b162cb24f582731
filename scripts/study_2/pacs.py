"""Part 3 of the second study: PACS, one domain left out at a time, with a pretrained network."""

from collections.abc import Sequence

from flatqat.bench.records.paired import differences
from flatqat.bench.records.sections import bits_in_words
from flatqat.bench.records.store import Store
from flatqat.spec import Cell
from scripts.study_2 import pacs_search as search
from scripts.study_2.part import LEVEL, Part, lacking, p_cell, p_in_words, table
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
PLANNED, FEWEST_SEEDS = range(3), 2
SETTINGS_IN_WORDS = (
    "EfficientNet-Lite0 from its ImageNet weights with a new last layer, which starts as DomainBed's does "
    "(PyTorch's linear layer), images of 96 pixels, 48 a batch (16 of each source), SGD with momentum 0.9, a "
    "half cosine and no weight decay. As in SWAD's fork of DomainBed, the statistics of BatchNorm stay those "
    "of the file, which were taken on larger images, and its scales and shifts are trained."
)
INCOMPLETE = " Rows that are not complete count as p = 1, so a p shown here can only fall."


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
        of_bits = [d for row in planned if (d := minus(domains, row))]
        found += of_bits
        p += corrected(of_bits, PLANNED, len(planned))
    tested = [(d, of_row) for d, of_row in zip(found, p, strict=True) if of_row is not None]
    whole = {d.row for d, _ in tested}
    lacking_rows = {bits: [row for row in _planned(bits) if row not in whole] for bits in BITS}
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
        "mean over domains left out. Δ: minus full precision on the same seeds, in points, the mean over "
        "domains, with its 95% interval. p: after Holm's correction over the rows that the plan has at a "
        "bit-width. `w7a32` has weights of 7 bits and inputs in full precision."
        f"{INCOMPLETE * any(lacking_rows.values())}"
        f"{_collapsed(domains, [FP, *(d.row for d in found)])}",
        "",
        f"`{CONTROL}`: convolutions are frozen from the middle of training on, in full precision or rounded. "
        "The rounded ones are rounded from the middle on, too, and keep their step sizes, where QAT rounds "
        "from the start and trains them: their difference from QAT is not that of frozen weights alone."
        f"{_freezing(found)}",
        "",
        SETTINGS_IN_WORDS,
        "",
        *search.lines(store),
    ]
    each = ", ".join(f"{name} {level:.1f}" for name, level in zip(names, levels, strict=True))
    sentences = [
        f"**PACS, one domain left out.** Full precision reaches {_mean(levels):.1f}% top-1 in the mean over "
        f"domains ({each}; seed{'s' * (len(seeds) > 1)} {in_words(seeds)})."
    ]
    if tested:
        sentences.append(_sentence(domains, tested))
    if between := _anchor_minus_qat(domains):
        sentences.append(between)
    count = sum(len(_planned(bits)) for bits in BITS)
    lacks = lacking(count - len(tested), count, f"rows of PACS on {len(PLANNED)} seeds")
    each = "; ".join(
        f"{', '.join(row.method for row in some)} at {bits_in_words(bits)}"
        for bits, some in lacking_rows.items()
        if some
    )
    return Part(title="PACS", found=sentences, lines=lines, lacks=[f"{one} ({each})" for one in lacks])


def by_domain(store: Store) -> list[Rows]:
    """Return the rows with each domain left out, with the settings that the search chose; empty before it."""
    settings = search.chosen(store)
    if settings is None:
        return []

    def wanted(cell: Cell) -> bool:
        return cell.seed in PLANNED and cell.recipe_args == settings

    return [Rows.of(store, f"pacs@{name}", wanted) for name in DOMAINS]


def _sentence(domains: list[Rows], tested: Sequence[tuple[Difference, float]]) -> str:
    """Say which rows differ from full precision, and what the others could have hidden."""
    signs = (("better", 1), ("worse", -1))
    said = []
    for word, sign in signs:
        sure = [
            f"{_named(d.row)} {interval(d.estimate)} (p {p_in_words(p)}"
            f"{', collapsed in ID, too' * any(collapsed(one, d.row) for one in domains)})"
            for d, p in tested
            if p < LEVEL and sign * d.estimate.value > 0
        ]
        said += [f"{word}: {', '.join(sure)}"] * bool(sure)
    if open_ := [d for d, p in tested if p >= LEVEL]:
        reach = max(max(-d.estimate.low, d.estimate.high) for d in open_)
        least, most = (end(map(detectable, open_)) for end in (min, max))
        said.append(
            f"undecided: {len(open_)} of {len(tested)} rows, whose 95% intervals lie within ±{reach:.1f} "
            f"points (differences of {least:.1f} to {most:.1f} points would have been found in 80% of such "
            "studies)"
        )
    return f"**PACS, minus full precision**, p after Holm's correction, tested at {LEVEL}: {'; '.join(said)}."


def _anchor_minus_qat(domains: list[Rows]) -> str:
    """Return the contrast of part 1 on PACS, for which the plan has no test; empty before it is complete."""
    each = []
    for bits in BITS:
        qat, anchor = Row("qat", bits), Row("anchor", bits)
        found = minus(domains, anchor, qat)
        if found and set(PLANNED) <= set(found.seeds):
            of_anchor, of_qat = (
                _mean(_levels(domains, row, found.seeds, ood=False)) for row in (anchor, qat)
            )
            each.append(
                f"{bits_in_words(bits)} {interval(found.estimate)} (ID {of_anchor:.1f} against {of_qat:.1f})"
            )
    if not each:
        return ""
    return (
        "**PACS, anchor minus QAT** (exploratory, p-values are not planned; the anchor's settings are the "
        f"defaults, which were chosen on CIFAR-10): {'; '.join(each)}."
    )


def _freezing(found: Sequence[Difference]) -> str:
    """Say that there is no gain to be owed to freezing, if that is so of all rows of the controls' bits."""
    of_bits = [d for d in found if d.row in _planned(BITS[0])]
    if not of_bits or any(d.estimate.value > 0 for d in of_bits):
        return ""
    return (
        f" The plan asks how much of a gain is owed to freezing: no row at {BITS[0]} is above full precision "
        "in the mean, so there is no gain that freezing could explain."
    )


def minus(domains: list[Rows], row: Row, base: Row = FP) -> Difference | None:
    """Return a row minus another in the mean over domains, or None before two shared seeds."""
    seeds = _seeds(domains, base, row)
    if len(seeds) < FEWEST_SEEDS:
        return None
    shares = [
        {r: of_domain.runs(r, seeds).shares(of_domain.ood) for r in (base, row)} for of_domain in domains
    ]
    estimate = differences(shares, base)[row]
    return Difference(row=row, seeds=tuple(seeds), estimate=estimate)


def detectable(found: Difference) -> float:
    """Return the true difference that 80% of such studies would find, with Holm's first factor."""
    (family,) = (rows for bits in BITS if found.row in (rows := _planned(bits)))
    return found.estimate.detectable(LEVEL / len(family))


def _planned(bits: str) -> list[Row]:
    controls = [Row(CONTROL, "fp"), Row(CONTROL, bits)] if bits == BITS[0] else []
    return [*(Row(method, bits) for method in METHODS), *controls]


def _named(row: Row) -> str:
    return f"{row.method} at {bits_in_words(row.bits)}"


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
        f"{_named(row)} ({name.replace('_', ' ')} left out)"
        for row in there
        for name, of_domain in zip(DOMAINS, domains, strict=True)
        if collapsed(of_domain, row)
    ]
    return f" [Collapsed](measures.md#extra-gap) in ID: {', '.join(lost)}." if lost else ""


def _mean(levels: Sequence[float]) -> float:
    return sum(levels) / len(levels)


def _seeds(domains: list[Rows], *rows: Row) -> list[int]:
    return sorted(set.intersection(*(set(of_domain.seeds(*rows)) for of_domain in domains)))
