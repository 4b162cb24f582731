"""How often the gate of CI says "regressed" if nothing changed, and if something did.

    python scripts/simulate_gate.py [TRIALS]

Each trial draws the trainings of three cells, before and now, on the same images, and lets the gate compare
them: twelve rows, with Holm's correction. An image is right if its difficulty, what the seed does to all
images, and what it does to this one together stay below a threshold (a probit model). The seed's part moves
the accuracy of a training by a standard deviation of `sd` points. The table has the percentage of trials that
trip the gate: false alarms where the drop is 0, power elsewhere.
"""

import sys
from itertools import product

import numpy as np
from scipy.special import ndtri

from flatqat.bench.gate.check import code_of
from flatqat.bench.gate.compare import BySeed, Row, Rules, compare, judge
from flatqat.exit_codes import REGRESSED
from flatqat.spec import ShiftInfo

SEEDS = ((1, 1), (1, 2), (2, 2), (3, 3), (5, 5))  # before and now
SDS, IMAGES = (0.0, 0.37, 0.74), (400, 2000)
DROPS, TOLERANCES, LEVELS = (0.0, 0.5, 1.0, 2.0), (0.5, 0.0), (0.01, 0.05)
CELLS, TRIALS = 3, 1000
OF_IMAGE = 0.8  # share of the variance that is the image's own, so that two trainings agree on most images
TOP1 = {"id": 0.9, "fog/1": 0.8, "fog/2": 0.7, "blur/1": 0.8, "blur/2": 0.6}
SHIFTS = {
    shift: ShiftInfo(family=shift.partition("/")[0], severity=None, image_set="id", in_mean=True)
    for shift in TOP1
}


def trial(
    rng: np.random.Generator,
    seeds: tuple[int, int],
    sd: float,
    images: int,
    drop: float,
    rules: Rules | None = None,
) -> list[Row]:
    """Return the rows of one check, in which every accuracy is `drop` points lower now."""
    difficulty = {shift: rng.normal(size=images) for shift in SHIFTS}

    def runs(count: int, lost: float) -> BySeed:
        made = {}
        for seed in range(count):
            luck, made[seed] = sd * rng.normal(), {}
            for shift, top1 in TOP1.items():
                threshold = ndtri(top1 - (lost - luck) / 100)
                own = rng.normal(size=images)
                of_image = OF_IMAGE**0.5 * difficulty[shift] + (1 - OF_IMAGE) ** 0.5 * own
                made[seed][shift] = of_image < threshold
        return made

    rows = []
    for k in range(CELLS):
        before, now = runs(seeds[0], 0.0), runs(seeds[1], drop)
        rows += compare(f"cell {k}", SHIFTS, before, now, rules or Rules())
    return rows


def shares(
    trials: int, seeds: tuple[int, int], sd: float, images: int, drop: float
) -> dict[tuple[float, float], float]:
    """Return the share of trials that trip the gate, by tolerance and level of significance."""
    rng = np.random.default_rng([*seeds, round(100 * sd), images, round(100 * drop)])
    tripped = dict.fromkeys(product(TOLERANCES, LEVELS), 0)
    for _ in range(trials):
        rows = trial(rng, seeds, sd, images, drop)
        for max_drop, p in tripped:
            rules = Rules(max_drop=max_drop, p=p)
            tripped[max_drop, p] += code_of(judge(rows, rules), rules) == REGRESSED
    return {rules: count / trials for rules, count in tripped.items()}


def main() -> int:
    """Print a line for each number of seeds, standard deviation and number of images."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    heads = [f"tolerance {max_drop}, p {p}" for max_drop, p in product(TOLERANCES, LEVELS)]
    print("| seeds before, now | sd | images | drop |", " | ".join(heads), "|")
    print("|" + "---|" * (4 + len(heads)))
    for seeds, sd, images, drop in product(SEEDS, SDS, IMAGES, DROPS):
        found = " | ".join(f"{100 * x:.1f}" for x in shares(trials, seeds, sd, images, drop).values())
        print(f"| {seeds[0]}, {seeds[1]} | {sd} | {images} | {drop} | {found} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
