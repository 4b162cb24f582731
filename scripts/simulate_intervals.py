"""Coverage of the 95% intervals in simulated worlds whose truth is known.

    python scripts/simulate_intervals.py [--trials 500] [--quick | --splits]

Four methods of equal accuracy are trained with S seeds and scored on the same N images. What is right of an
image depends on its difficulty, on the method, on the seed, and on the run and image; see `top1` and `miou`.
The table has the share of worlds in which the interval of the difference of two methods holds 0 (with the
scatter pooled over the methods where it fits) and in which that of one method's own metric holds the truth.
With `--splits` each seed is scored on 80% of the images, drawn anew, as where a domain is left out (top-1).
Of four networks each leaves out another of four domains: it is scored on 80% of that, and in ID on 20% of the
others. Their mean of ID, and that of ID - OOD, whose truth is 0, are the other worlds.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.components import Components, pooled_scatter
from flatqat.metrics.contributions import contributions
from flatqat.metrics.metric import METRICS
from flatqat.metrics.parts import Part, drawn

METHODS, CLASSES = 4, 19
RUN_IMAGE, METHOD_IMAGE = 0.3, 0.15  # sd beside that of images, 1: two runs then disagree on 6% of the images
QUICK = {"sizes": (200, 2000), "seeds": (1, 2, 3), "scatter": (0.0, 0.63)}
SPLITS = {"sizes": (500, 2000), "seeds": (1, 2, 3, 5, 10), "scatter": (0.0, 0.2, 0.63)}
KEPT = 0.8
OOD, ID = 0, 1  # the part of a domain that is kept, and the rest
WORLDS = {"top-1": (1, {OOD: 1}), "mean ID": (4, {ID: 1}), "mean gap": (4, {ID: 1, OOD: -1})}
"""The number of networks, each of which leaves out a domain, and the weights of what they are scored on."""
FULL = {"sizes": (200, 2000, 50_000), "seeds": (1, 2, 3, 5, 10), "scatter": (0.0, 0.2, 0.37, 0.63)}


def top1(
    rng: np.random.Generator, seeds: int, images: int, seed_sd: float, accuracy: float = 0.85
) -> tuple[NDArray[np.bool_], float]:
    """Return which images are right, (methods, seeds, images), and the true accuracy in percent.

    A probit model. `seed_sd` is the standard deviation over seeds of a difference of two methods, in points.
    """
    base = NormalDist().inv_cdf(accuracy)
    shift = seed_sd / 2**0.5 / 100 / NormalDist().pdf(base) * rng.normal(size=(METHODS, seeds, 1))
    ease = rng.normal(size=images) + METHOD_IMAGE * rng.normal(size=(METHODS, 1, images))
    ease = ease + RUN_IMAGE * rng.normal(size=(METHODS, seeds, images))
    return ease / (1 + METHOD_IMAGE**2 + RUN_IMAGE**2) ** 0.5 + base + shift > 0, 100 * accuracy


def miou(
    rng: np.random.Generator, seeds: int, images: int, seed_sd: float
) -> tuple[NDArray[np.int64], float]:
    """Return counts (methods, seeds, images, 2, classes) and the true mIoU in percent.

    Classes are in 100% to 5% of the images, large to small, known well to badly; `seed_sd` is in points.
    """
    share, size = np.geomspace(1, 0.05, CLASSES), np.geomspace(20_000, 200, CLASSES)
    quality = np.linspace(0.9, 0.35, CLASSES)
    logit = np.log(quality / (1 - quality))
    pixels = (rng.random((images, CLASSES)) < share) * size * rng.lognormal(0, 1, (images, CLASSES))
    shift = seed_sd / 2**0.5 / MIOU_SLOPE * rng.normal(size=(METHODS, seeds, 1, 1))
    ease = 0.8 * rng.normal(size=(images, CLASSES)) + 0.5 * rng.normal(size=(METHODS, seeds, images, CLASSES))
    found = pixels / (1 + np.exp(-(logit + ease + shift)))
    missed = pixels - found
    union = pixels + 0.8 * np.roll(missed, 1, axis=-1)  # what is missed of one class is taken for the next
    return np.stack([found, union], axis=-2).round().astype(np.int64), TRUE_MIOU


TRUE_MIOU, MIOU_SLOPE = 45.0, 18.8  # of 200,000 images; points per unit of the logit


def all_images(
    world: str, rng: np.random.Generator, seeds: int, images: int, seed_sd: float
) -> tuple[NDArray[np.float64], float]:
    """Return contributions (methods, seeds, images), all seeds on the same images, and the truth."""
    simulate, metric = (miou, METRICS["miou"]) if world == "mIoU" else (top1, METRICS["top1"])
    outcomes, truth = simulate(rng, seeds, images, seed_sd)
    runs = [[{"ood": outcomes[m, s]} for s in range(seeds)] for m in range(METHODS)]
    (pool,) = contributions(runs, {"ood": "test"}, {"ood": 1.0}, metric.values)
    return pool, truth


def drawn_by_seeds(
    world: str, rng: np.random.Generator, seeds: int, images: int, seed_sd: float
) -> tuple[Part, float]:
    """Return the same of images that each seed draws, see `--splits`; `images` are those of all domains."""
    networks, parts = WORLDS[world]
    pool, truth = all_images("top-1", rng, seeds * networks, images, seed_sd)
    of_networks = pool.reshape(METHODS, seeds, networks, images)
    domains = np.arange(images).reshape(networks, -1)
    kept = round(KEPT * domains.shape[1])
    splits = [[np.split(rng.permutation(domain), [kept]) for domain in domains] for _ in range(seeds)]
    tables, ids = [], []
    for left_out, (part, weight) in product(range(networks), parts.items()):
        scored = [k for k in range(networks) if (k == left_out) == (part == OOD)]
        ids.append([np.concatenate([of_seed[k][part] for k in scored]) for of_seed in splits])
        values = [of_networks[:, s, left_out, of_seed] for s, of_seed in enumerate(ids[-1])]
        tables.append(weight / networks * np.stack(values, axis=1))
    return drawn(tables, ids), truth * sum(parts.values())


def covered(
    world: str, seeds: int, images: int, seed_sd: float, trials: int, splits: bool = False
) -> tuple[float, float]:
    """Return the coverage of a difference and of one method's own metric, in percent."""
    rng = np.random.default_rng([seeds, images, round(100 * seed_sd)])
    simulate = drawn_by_seeds if splits else all_images
    holds = np.zeros(2)
    for _ in range(trials):
        pool, truth = simulate(world, rng, seeds, images, seed_sd)
        components = Components.of([pool])
        apart = components.difference(1, 0, pooled_scatter(components))
        own = components.mean(0)
        low, high = own.of_share() if truth else (own.low, own.high)
        holds += (apart.low <= 0 <= apart.high, low <= truth <= high)
    difference, of_one = 100 * holds / trials
    return difference, of_one


def cases(quick: bool, splits: bool = False) -> Iterator[tuple[str, int, int, float]]:
    """Yield (world, seeds, images, seed sd)."""
    plan = SPLITS if splits else QUICK if quick else FULL
    for world in WORLDS if splits else ("top-1", "mIoU"):
        for images in plan["sizes"]:
            if world == "mIoU" and images > 500:
                continue  # a world of 200 images is where mIoU is hard
            for seeds in plan["seeds"]:
                for seed_sd in plan["scatter"][: 1 if seeds == 1 else None]:  # one seed: of these runs alone
                    yield world, int(seeds), int(images), seed_sd


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    parser.add_argument("--splits", action="store_true", help="each seed draws its images")
    options = parser.parse_args()
    print("metric    images  seeds  sd of seeds  difference  own metric")
    for world, seeds, images, seed_sd in cases(options.quick, options.splits):
        difference, own = covered(world, seeds, images, seed_sd, options.trials, options.splits)
        print(f"{world:8} {images:7} {seeds:6} {seed_sd:12} {difference:10.1f}% {own:10.1f}%", flush=True)


if __name__ == "__main__":
    main()
