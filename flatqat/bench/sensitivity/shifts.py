"""Which shifts of a suite are reported: by default one of each family, of a medium severity."""

from collections.abc import Sequence
from fnmatch import fnmatch

from flatqat.errors import UsageError, choose_all, unknown
from flatqat.suite import Shift, Suite

MEDIUM = 3


def reported(suite: Suite, families: Sequence[str] = (), patterns: Sequence[str] = ()) -> list[Shift]:
    """Return `id` and the chosen shifts, in the order of the suite.

    `patterns` are names or fnmatch patterns of them. Without, it is the first corruption of each family in
    the mean, or of each of `families`, at the severity nearest to 3, and all shifts without severities.
    Raises UsageError for names that the suite has not, and if it has no shifts.
    """
    shifts = [shift for shift in suite.shifts if shift.name != "id" and shift.weights == "selected"]
    if not shifts:
        raise UsageError(f"suite {suite.name}: expected shifts beside its clean images, got none")
    names = {shift.family: shift for shift in shifts}
    wanted = choose_all(f"family of {suite.name}", families, names) if families else ()
    if wanted:
        shifts = [shift for shift in shifts if shift.family in wanted]
    elif not patterns:
        shifts = [shift for shift in shifts if shift.in_mean] or shifts
    for pattern in patterns:
        if not any(fnmatch(shift.name, pattern) for shift in shifts):
            raise unknown(f"shift of {suite.name}", pattern, [shift.name for shift in shifts])
    if patterns:
        chosen = [shift for shift in shifts if any(fnmatch(shift.name, p) for p in patterns)]
    else:
        chosen = [shift for shift in shifts if shift.severity is None or shift is _medium(shift, shifts)]
    return [next(shift for shift in suite.shifts if shift.name == "id"), *chosen]


def _medium(shift: Shift, shifts: Sequence[Shift]) -> Shift:
    """Return the shift that stands for the family of `shift`."""
    family = [one for one in shifts if one.family == shift.family and one.severity is not None]
    first = family[0].name.partition("/")[0]
    levels = [one for one in family if one.name.partition("/")[0] == first]
    return min(levels, key=lambda one: abs((one.severity or 0) - MEDIUM))
