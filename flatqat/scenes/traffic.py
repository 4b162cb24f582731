"""Vehicles, people and furniture of the street: placed first, then drawn from far to near."""

from functools import partial

from flatqat.scenes.canvas import Canvas
from flatqat.scenes.dice import Dice
from flatqat.scenes.furniture import lamp, post, sign, traffic_light, tree
from flatqat.scenes.people import bicycle, motorcycle, person, rider
from flatqat.scenes.street import Lane, Street
from flatqat.scenes.vehicles import bus, car, tram, truck

LAST = 45.0
Shares = dict[str, tuple[float, float]]
"""The share of each kind of vehicle, and the room that it takes in metres; the rest is empty."""

VEHICLES = {"car": car, "truck": truck, "bus": bus}
PARKED: Shares = {"car": (0.62, 5.6), "truck": (0.06, 10.8)}
DRIVEN: Shares = {"car": (0.4, 7), "truck": (0.1, 12), "bus": (0.1, 14), "rider": (0.35, 3)}

Thing = partial[None]
"""Draws something on a canvas; its keyword `z` is the depth in metres."""


def fill(canvas: Canvas, street: Street, dice: Dice) -> None:
    """Draw what is on lanes, curbs and sidewalks, the farthest first."""
    things = [thing for lane in street.lanes for thing in _on_lane(lane, street, dice)]
    things += _along_curbs(street, dice) + _on_foot(street, dice) + _at_crossing(street, dice)
    for draw in sorted(things, key=lambda thing: -thing.keywords["z"]):
        draw(canvas)


def _on_lane(lane: Lane, street: Street, dice: Dice) -> list[Thing]:
    things: list[Thing] = []
    if lane.kind == "track":
        z = dice.uniform(6, 22)
        return [partial(tram, x=lane.x, z=z, away=lane.away, dice=dice)] if dice.chance(0.85) else []
    parked = lane.kind == "park"
    own = lane.kind == "drive" and abs(lane.x) < 1
    z = dice.uniform(9, 30) if own else dice.uniform(3.5, 12)
    while z < LAST:
        if street.crossing and parked and street.crossing[0] - 10 < z < street.crossing[1] + 2:
            z = street.crossing[1] + 2
        kind, room = _pick_vehicle(PARKED if parked else DRIVEN, dice)
        if kind == "rider":
            x, motor = lane.x + (0.9 if lane.x > 0 else -0.9), dice.chance(0.5)
            things.append(partial(rider, x=x, z=z, motor=motor, across=False, away=lane.away, dice=dice))
        elif kind:
            x = lane.x + dice.uniform(-0.2, 0.2)
            things.append(partial(VEHICLES[kind], x=x, z=z, away=lane.away, dice=dice))
        z += room + (dice.uniform(0, 1.5) if parked else dice.uniform(3, 20))
    return things


def _pick_vehicle(shares: Shares, dice: Dice) -> tuple[str, float]:
    rest = dice.uniform()
    for kind, (share, room) in shares.items():
        rest -= share
        if rest < 0:
            return kind, room
    return "", 6.0


def _along_curbs(street: Street, dice: Dice) -> list[Thing]:
    things: list[Thing] = []
    for edge, outward in ((street.road[0], -1), (street.road[1], 1)):
        x = edge + outward * 0.5
        kinds = [lamp, lamp, post, post, sign, sign]
        if dice.chance(0.3):
            kinds += [tree, tree, tree]
        z = dice.uniform(4, 9)
        while z < 50:
            things.append(partial(dice.pick(kinds), x=x, z=z, dice=dice))
            z += dice.uniform(5, 14)
    return things


def _on_foot(street: Street, dice: Dice) -> list[Thing]:
    """Place people alone or in small groups, and bicycles and motorcycles left on the sidewalk."""
    things: list[Thing] = []
    sidewalks = ((street.walk[0], street.road[0]), (street.road[1], street.walk[1]))
    for _ in range(dice.integer(3, 6)):
        low, high = dice.pick(sidewalks)
        z = dice.uniform(4.5, 14)
        for number in range(dice.pick((1, 1, 2, 3))):
            x = dice.uniform(low + 0.5, high - 0.3)
            things.append(partial(person, x=x, z=z + 0.4 * number, dice=dice))
    for _ in range(dice.integer(1, 4)):
        low, high = dice.pick(sidewalks)
        x, z = dice.uniform(low + 0.6, high - 0.6), dice.uniform(4.5, 11)
        across, kind = dice.chance(0.75), dice.pick((bicycle, motorcycle))
        for number in range(dice.integer(1, 3)):
            things.append(partial(kind, x=x + 0.5 * number, z=z + 0.6 * number, across=across, dice=dice))
    return things


def _at_crossing(street: Street, dice: Dice) -> list[Thing]:
    """Place traffic lights at the crossing, and people and riders who cross the road."""
    things: list[Thing] = []
    z = street.crossing[0] - 4.6 if street.crossing else dice.uniform(6, 14)
    if street.crossing or dice.chance(0.5):
        for x in (street.road[0] - 0.7, street.road[1] + 0.7):
            things.append(partial(traffic_light, x=x, z=z, dice=dice, facing=dice.chance(0.8)))
    for _ in range(dice.pick((1, 1, 2, 3))):
        x, depth = dice.uniform(street.road[0], street.road[1]), z + dice.uniform(1, 3)
        if dice.chance(0.5):
            things.append(partial(person, x=x, z=depth, dice=dice))
        else:
            motor = dice.chance(0.4)
            things.append(partial(rider, x=x, z=depth, motor=motor, across=True, away=True, dice=dice))
    return things
