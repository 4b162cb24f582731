"""Where an axis ends whose bars differ much in length: few of them may be ten times as long as all others.

That happens where a method has its own scatter over few seeds, and others share theirs.
"""

from collections.abc import Sequence
from math import isfinite

Ends = tuple[float, float]
Bar = tuple[str, float, Ends | None]
"""A set, a value on it, and the ends of its interval."""

MOST = 2.0  # times the usual length, beyond which a bar does not stretch an axis
MARGIN = 0.05  # of an axis, at both ends


def limits(bars: Sequence[Bar]) -> Ends | None:
    """Return the ends of an axis that shows all values and all ordinary bars; None if that is all bars.

    A bar is ordinary if it is at most `MOST` times as long as the usual one of its set, the lower median.
    What is not finite is never ordinary.
    """
    lengths: dict[str, list[float]] = {}
    known = [(name, ends) for name, _, ends in bars if ends and all(map(isfinite, ends))]
    for name, (low, high) in known:
        lengths.setdefault(name, []).append(high - low)
    usual = {name: sorted(of_set)[(len(of_set) - 1) // 2] for name, of_set in lengths.items()}
    shown = [value for _, value, _ in bars if isfinite(value)]
    for name, (low, high) in known:
        if high - low <= MOST * usual[name]:
            shown += (low, high)
    if not shown:
        return None
    room = MARGIN * (max(shown) - min(shown))
    low, high = min(shown) - room, max(shown) + room
    return (low, high) if any(ends and (ends[0] < low or ends[1] > high) for *_, ends in bars) else None
