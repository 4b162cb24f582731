"""The small plots of a section, one for each corruption: which sets each shows, and how they are called."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from flatqat.bench.records.sections import Section
from flatqat.bench.report.tax import by_corruption


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One small plot: its name, the sets along its axis, and their labels; `joined` makes lines."""

    name: str
    sets: Sequence[str]
    labels: Sequence[str]
    joined: bool


def panels_of(section: Section, of_id: str) -> list[Panel]:
    """Return a panel for each corruption, ID first in each, and one for all shifts without severities."""
    record = section.first
    shifts_of = by_corruption(record)
    severe = {"id", "val", *chain(*shifts_of.values())}
    single = [shift for shift in record.protocol.shifts if shift not in severe]
    found = []
    for name, shifts in shifts_of.items():
        in_mean = record.protocol.shifts[shifts[0]].in_mean
        labels = ["ID", *(str(record.protocol.shifts[shift].severity) for shift in shifts)]
        title = name if in_mean else f"{name} (not in the mean)"
        found.append(Panel(name=title, sets=[of_id, *shifts], labels=labels, joined=True))
    if single:
        found.append(Panel(name="shifts", sets=[of_id, *single], labels=["ID", *single], joined=False))
    return found
