"""Where an axis ends whose bars differ much in length: few of them may be ten times as long as all others.

That happens where a method has its own scatter over few seeds, and others share theirs.
"""

from collections.abc import Sequence

Ends = tuple[float, float]
Bar = tuple[str, float, Ends | None]
"""A set, a value on it, and the ends of its interval."""

MOST = 2.0  # times the usual length, beyond which a bar does not stretch an axis
MARGIN = 0.05  # of an axis, at both ends


def limits(bars: Sequence[Bar]) -> Ends | None:
    """Return the ends of an axis that shows all values and all ordinary bars; None if that is all bars.

    A bar is ordinary if it is at most `MOST` times as long as the usual one of its set, the lower median.
    """
    lengths: dict[str, list[float]] = {}
    for name, _, ends in bars:
        if ends:
            lengths.setdefault(name, []).append(ends[1] - ends[0])
    usual = {name: sorted(of_set)[(len(of_set) - 1) // 2] for name, of_set in lengths.items()}
    shown = [value for _, value, _ in bars]
    for name, _, ends in bars:
        if ends and ends[1] - ends[0] <= MOST * usual[name]:
            shown += ends
    low, high = min(shown), max(shown)
    room = MARGIN * (high - low)
    low, high = low - room, high + room
    return (low, high) if any(ends and (ends[0] < low or ends[1] > high) for *_, ends in bars) else None
