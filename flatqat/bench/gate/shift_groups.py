"""Which shifts a row is the mean of: ID, all that count in the mean, and then each family or each shift."""

from collections.abc import Mapping
from typing import Literal, get_args

from flatqat.spec import ShiftInfo

By = Literal["family", "shift"]
BY: tuple[By, ...] = get_args(By)
ID, OOD = "id", "ood"


def shift_groups(shifts: Mapping[str, ShiftInfo], by: By = "family") -> list[tuple[str, list[str]]]:
    """Return the name and the shifts of each row; a part that is all of OOD has none of its own.

    Else one test would be made, and corrected for, twice.
    """
    in_mean = [shift for shift, info in shifts.items() if info.in_mean and shift != ID]
    parts: dict[str, list[str]] = {}
    for shift in in_mean:
        parts.setdefault(shifts[shift].family if by == "family" else shift, []).append(shift)
    whole = [(OOD, in_mean)] if in_mean else []
    return [(ID, [ID]), *whole, *(part for part in parts.items() if part[1] != in_mean)]
