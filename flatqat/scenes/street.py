"""The plan of a street: lanes, sidewalks and what is beside them, in metres from the camera's axis."""

from dataclasses import dataclass
from typing import Literal

from flatqat.scenes.dice import Dice

LANE, PARKING, TRACK, CURB = 3.2, 2.1, 3.0, 0.14
NEAR, FAR = 1.2, 140.0
ASIDE = 2.5  # metres, width of the crossing street's sidewalks

Kind = Literal["drive", "park", "track"]


@dataclass(frozen=True, slots=True)
class Lane:
    """A strip of the road; its traffic drives `away` from the camera or towards it."""

    x: float
    kind: Kind
    away: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """The plan of a street. All x are in metres, and pairs are (left, right).

    Attributes:
        lanes: Its lanes.
        road: The edges of the road.
        walk: The outer edges of the sidewalks.
        edge: The outer edges of the open ground.
        crossing: Depths between which another street crosses, if one does.
    """

    lanes: tuple[Lane, ...]
    road: tuple[float, float]
    walk: tuple[float, float]
    edge: tuple[float, float]
    crossing: tuple[float, float] | None


def plan(dice: Dice) -> Street:
    """Plan a street with traffic on the right and the camera in the innermost lane of its direction."""
    own = dice.uniform(-0.5, 0.5)
    lanes = [Lane(own, "drive", True)]
    right = own + LANE / 2
    if dice.chance(0.25):
        lanes.append(Lane(right + LANE / 2, "drive", True))
        right += LANE
    if dice.chance(0.4):
        lanes.append(Lane(right + PARKING / 2, "park", True))
        right += PARKING
    left = own - LANE / 2
    if dice.chance(0.3):
        lanes.append(Lane(left - TRACK / 2, "track", dice.chance(0.5)))
        left -= TRACK
    for _ in range(dice.pick((1, 1, 1, 2))):
        lanes.append(Lane(left - LANE / 2, "drive", False))
        left -= LANE
    if dice.chance(0.4):
        lanes.append(Lane(left - PARKING / 2, "park", False))
        left -= PARKING
    walk = left - dice.uniform(2.0, 5.0), right + dice.uniform(2.0, 5.0)
    green = [dice.uniform(1.5, 8.0) if dice.chance(0.5) else 0.0 for _ in range(2)]
    start = dice.uniform(11, 24)
    return Street(
        lanes=tuple(lanes),
        road=(left, right),
        walk=walk,
        edge=(walk[0] - green[0], walk[1] + green[1]),
        crossing=(start, start + dice.uniform(7, 12)) if dice.chance(0.6) else None,
    )
