"""What the networks of a row cost for one image, as numbers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flatqat.metrics.missing import mean_of_known
from flatqat.spec import Cost, Record

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("macs", "bops", "weight_bytes", "other_bytes", "activation_bytes")
"""Fields of `Cost`; whole numbers, which tables keep to the last digit."""


def cost_columns(records: Sequence[Record]) -> dict[str, int | float | None]:
    """Return what a network of these records costs, None where no record says it.

    It is the same for all seeds; where it is not, because the code was edited, it is the mean.
    """
    costs = [record.cost for record in records if record.cost]
    return {name: _common([getattr(cost, name) for cost in costs]) for name in COLUMNS}


def fields_of(cost: Cost | None) -> dict[str, int]:
    """Return the columns of one cost; none without one."""
    return {name: getattr(cost, name) for name in COLUMNS} if cost else {}


def size_bytes(row: Mapping[Any, Any]) -> float | None:
    """Return the bytes of all parameters of a row's network, or None."""
    known = row["weight_bytes"] is not None
    return row["weight_bytes"] + row["other_bytes"] if known else None


def with_whole_numbers(table: "pd.DataFrame", rows: Sequence[Mapping[Any, Any]]) -> "pd.DataFrame":
    """Return a table of rows whose costs are whole numbers also beside missing ones.

    A mean of different costs need not be whole, and makes its column one of floating point.
    """
    import pandas as pd

    values = {name: [row[name] for row in rows] for name in COLUMNS}
    whole = {n: v for n, v in values.items() if all(each is None or isinstance(each, int) for each in v)}
    return table.assign(**{name: pd.array(v, dtype="Int64") for name, v in whole.items()})


def _common(values: Sequence[int]) -> int | float | None:
    return values[0] if len(set(values)) == 1 else mean_of_known(values)
