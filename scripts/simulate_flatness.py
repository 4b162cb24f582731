"""How often "flatter is better at equal ID" is found where only ability drives sharpness, ID and OOD.

    python scripts/simulate_flatness.py [--trials 400] [--luck 0.3]

Methods differ in ability alone: their sharpness, ID and OOD accuracy follow it. A seed moves the sharpness
and the OOD accuracy of all methods, each for itself. ID and OOD are measured on images, with errors of the
size that ResNet-20 on CIFAR-10 has. Nothing is left of sharpness at equal ability, so every decision is a
false alarm. The last column plants an effect of sharpness beside ability. With `--luck` a run has luck of so
many points in ID alone, which both halves of the images share.
"""

import argparse

import numpy as np

from flatqat.metrics.partial_rank import partial_rank

SEEDS, LEVEL = 3, 0.05
ID_SD, OOD_SD = 28.0, 10.0  # of one image and run, in points, once the images' own difficulty has cancelled


def trial(
    rng: np.random.Generator, methods: int, images: int, ability_sd: float, effect: float, luck: float = 0.0
) -> float | None:
    """Return the p-value of one simulated study, None where it is withheld."""

    def scatter(sd: float) -> np.ndarray:
        """Half of the variance belongs to a method, half to a run."""
        return sd * (rng.normal(size=(methods, 1)) + rng.normal(size=(methods, SEEDS))) / np.sqrt(2)

    ability = rng.normal(size=(methods, 1)) * ability_sd + rng.normal(size=(methods, SEEDS)) * 0.4
    own = rng.normal(size=(methods, 1)) * ability_sd / 2
    sharpness = -ability + own + rng.normal(size=SEEDS) * ability_sd / 2
    of_seeds = rng.normal(size=SEEDS) * ability_sd / 2
    at_id = ability + luck * rng.normal(size=(methods, SEEDS)) if luck else ability
    halves = []
    for _ in range(2):
        shared = scatter(1.0)  # an image that ID gets wrong is also wrong under shift
        error = ID_SD / np.sqrt(images / 2) * shared
        under_shift = OOD_SD / np.sqrt(images / 2) * (0.6 * shared + scatter(0.8))
        halves.append((0.9 * ability - effect * own + of_seeds + under_shift, at_id + error))
    (y_a, z_a), (y_b, z_b) = halves
    found = partial_rank(sharpness, (y_a, y_b), (z_a, z_b))
    return found.p if found else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--luck", type=float, default=0.0)
    options = parser.parse_args()
    trials, luck = options.trials, options.luck
    rng = np.random.default_rng(0)
    print("methods  images  sd of ability  withheld  false alarms  effect found")
    for methods in (10, 20, 60):
        for images in (400, 2000, 10_000):
            for ability_sd in (1.0, 3.0):
                null = [trial(rng, methods, images, ability_sd, 0.0, luck) for _ in range(trials)]
                true = [trial(rng, methods, images, ability_sd, 1.0, luck) for _ in range(trials)]
                withheld = np.mean([p is None for p in null])
                alarms, found = (np.mean([p is not None and p < LEVEL for p in ps]) for ps in (null, true))
                print(f"{methods:7} {images:7} {ability_sd:14} {withheld:9.0%} {alarms:13.1%} {found:13.0%}")


if __name__ == "__main__":
    main()
