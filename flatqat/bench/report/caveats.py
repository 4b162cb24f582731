"""What to know of a row before comparing it: it has collapsed, or computes with weights in floating point."""

from collections.abc import Mapping, Sequence
from typing import Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import RowKey, Section, key_of
from flatqat.metrics.missing import mean_if_complete, mean_of_known
from flatqat.spec import Record

COLLAPSE = 0.25  # of what the reference has above chance
NO_DOMAINS: Mapping[RowKey, Sequence[str]] = {}


def with_collapsed(
    rows: Sequence[Mapping[str, Any]], section: Section, domains: Mapping[RowKey, Sequence[str]] = NO_DOMAINS
) -> list[dict[str, Any]]:
    """Return the rows with a column `collapsed`, compared with the reference of the same domain.

    A mean over domains is compared with that of the reference over the same `domains`, by (method, bits).
    A method has collapsed if ID has lost more than a quarter of what the reference has above chance. Chance
    is 100% / classes for top-1 where the names of the classes are recorded, else 0. What a collapsed method
    has left to lose under shift does not measure robustness.
    """
    reference = section.reference
    if not reference:
        return [{**row, "collapsed": False} for row in rows]
    record = section.rows[reference][0]
    column, chance = f"id_{metric_of(record).name}", chance_of(record)
    of_reference = {row.get("domain"): row[column] for row in rows if key_of(row) == reference}

    def compared(row: Mapping[str, Any]) -> float | None:
        domain, names = row.get("domain"), domains.get(key_of(row), ())
        return mean_if_complete(map(of_reference.get, [domain] if domain in names or not names else names))

    return [{**row, "collapsed": has_collapsed(row[column], compared(row), chance)} for row in rows]


def floating_weights(records: Sequence[Record]) -> float | None:
    """Return the percentage of weights that a quantized network has in floating point, or None if unknown."""
    if records[0].protocol.quant.weight_bits is None:
        return None
    shares = [record.train.audit.get("floating_weights") for record in records]
    return mean_of_known(float(share) for share in shares if isinstance(share, int | float))


def floating_layers(records: Sequence[Record]) -> int:
    """Return the number of weight tensors that a quantized network has in floating point."""
    if records[0].protocol.quant.weight_bits is None:
        return 0
    names = records[0].train.audit.get("floating")
    kept = names if isinstance(names, list | tuple) else ()
    return sum(str(name).endswith((" weight", " parameter")) for name in kept)


def has_collapsed(value: float | None, of_reference: float | None, chance: float) -> bool:
    """Return whether a score is so far below that of the reference; False where one is unknown."""
    if value is None or of_reference is None:
        return False
    return value < of_reference - COLLAPSE * max(of_reference - chance, 0)


def chance_of(record: Record) -> float:
    """Return what guessing scores in percent, or 0 where it is unknown."""
    classes = len(record.protocol.class_names)
    return 100 / classes if classes and metric_of(record).name == "top1" else 0.0
