"""What can be measured at a point: every estimator with its settings, its cost and its numbers as JSON.

Costs are in forward passes over all images, as timed on convolutional networks on a CPU: a gradient takes
about 4 of them, a Hessian-vector product about 10. They weigh the progress bar.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from flatqat.bench.flatness.flatness_point import FlatnessPoint
from flatqat.bench.plan.request import Space
from flatqat.console.progress import Advance
from flatqat.errors import choose
from flatqat.flatness.apgd import Ball, worst_in_ball
from flatqat.flatness.code_flips import code_flips
from flatqat.flatness.density import spectral_density
from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.params import LossFn, Params, Progress
from flatqat.flatness.rise import Sharpness
from flatqat.flatness.sharpness import average_case, worst_case
from flatqat.flatness.step_size_noise import step_size_noise
from flatqat.flatness.trace import trace

Found = dict[str, Any]

PAIR, GRADIENT, PRODUCT = 2, 4, 10  # in forward passes

ITERATIONS, TOLERANCE = 30, 1e-3
TRACE_STEPS, TRACE_PROBES = 30, 30
DENSITY_STEPS, DENSITY_PROBES = 40, 5
RADII = (0.05, 0.1, 0.2)
RHO_SAM, RHO_ASAM = 0.05, 0.5
APGD_STEPS = 20
BALLS: Mapping[Ball, float] = {"plain": RHO_SAM, "elementwise": RHO_ASAM, "filter": 0.002}
FRACTIONS = (0.01, 0.1)
SIZES = (0.01, 0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """`run` measures at a point with so many draws of what is drawn; `cost` is its forward passes then.

    `own` is the space that it always measures in, whatever is asked for.
    """

    run: Callable[[FlatnessPoint, int, Advance], Found]
    cost: Callable[[int], int]
    own: Space | None = None


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """`names`, each once, in the order of ESTIMATORS. Raises UsageError on an unknown one."""
    wanted = {choose("measure", name, ESTIMATORS) for name in names}
    return tuple(name for name in ESTIMATORS if name in wanted)


def work(names: Sequence[str], draws: int) -> int:
    """Steps of progress: forward passes over all images."""
    return sum(ESTIMATORS[name].cost(draws) for name in names)


def _lambda_max(point: FlatnessPoint, draws: int, advance: Advance) -> Found:
    found = top_eigenvalue(iterations=ITERATIONS, tolerance=TOLERANCE, **_given(point, advance, PRODUCT))
    return {"lambda_max": asdict(found)}


def _trace(point: FlatnessPoint, draws: int, advance: Advance) -> Found:
    found = trace(steps=TRACE_STEPS, probes=TRACE_PROBES, **_given(point, advance, PRODUCT))
    return {"trace": asdict(found)}


def _density(point: FlatnessPoint, draws: int, advance: Advance) -> Found:
    found = spectral_density(steps=DENSITY_STEPS, probes=DENSITY_PROBES, **_given(point, advance, PRODUCT))
    return {"density": asdict(found)}


def _sharpness(point: FlatnessPoint, draws: int, advance: Advance) -> Found:
    average = {}
    for radius in (
        RADII if point.space != "step_size" else ()
    ):  # a step size has no filters to be normalised by
        rise = average_case(radius=radius, draws=draws, **_given(point, advance, PAIR))
        average[str(radius)] = _drawn(rise)
    sam = worst_case(point.losses, point.params, rho=RHO_SAM)
    asam = worst_case(point.losses, point.params, rho=RHO_ASAM, adaptive=True)
    return {
        "sharpness_avg": average,
        "sharpness_sam": {"value": sam.value, "rho": RHO_SAM},
        "sharpness_asam": {"value": asam.value, "rho": RHO_ASAM},
    }


def _apgd(point: FlatnessPoint, draws: int, advance: Advance) -> Found:
    found = {}
    for ball, rho in BALLS.items():
        if ball == "filter" and point.space == "step_size":
            continue
        worst = worst_in_ball(
            radius=rho, ball=ball, iterations=APGD_STEPS, **_given(point, advance, GRADIENT)
        )
        found[ball] = {"value": worst.value, "rho": rho, "steps": APGD_STEPS}
    return {"apgd": found}


def _code_flips(point: FlatnessPoint, draws: int, advance: Advance) -> Found:
    if not point.lower:
        return {"code_flips": _absent("expected quantized weights in the space 'quantized', got none")}
    zero = sum(int((point.params[name].flatten(1) == 0).all(1).sum()) for name in point.lower)
    found: Found = {"zero_filters": zero}
    for fraction in FRACTIONS:
        rise = code_flips(
            lower=point.lower,
            upper=point.upper,
            fraction=fraction,
            draws=draws,
            **_given(point, advance, PAIR),
        )
        found[str(fraction)] = _drawn(rise)
    return {"code_flips": found}


def _step_size_noise(point: FlatnessPoint, draws: int, advance: Advance) -> Found:
    if not point.params:
        return {"step_size_noise": _absent("expected step sizes, got none")}
    found: Found = {"space": point.space}
    for size in SIZES:
        rise = step_size_noise(size=size, draws=draws, **_given(point, advance, PAIR))
        found[str(size)] = _drawn(rise)
    return {"step_size_noise": found}


class Given(TypedDict):
    """What every estimator takes, by the names that all of them have for it."""

    losses: Sequence[LossFn]
    params: Params
    seed: int
    progress: Progress


def _given(point: FlatnessPoint, advance: Advance, weight: int) -> Given:
    """For an estimator that reports steps of `weight` forward passes."""
    return Given(losses=point.losses, params=point.params, seed=point.seed, progress=_ticks(advance, weight))


def _drawn(rise: Sharpness) -> Found:
    return {"value": rise.value, "stderr": rise.stderr, "draws": rise.draws}


def _absent(reason: str) -> Found:
    return {"value": None, "reason": reason}


def _ticks(advance: Advance, weight: int) -> Progress:
    """Count every step that an estimator reports as `weight` forward passes."""
    last = 0

    def report(done: int, most: int) -> None:
        nonlocal last
        advance(weight * (done - last))
        last = done

    return report


ESTIMATORS: Mapping[str, Estimator] = {
    "lambda_max": Estimator(run=_lambda_max, cost=lambda draws: PRODUCT * ITERATIONS),
    "trace": Estimator(run=_trace, cost=lambda draws: PRODUCT * (TRACE_STEPS + TRACE_PROBES)),
    "density": Estimator(run=_density, cost=lambda draws: PRODUCT * DENSITY_STEPS * DENSITY_PROBES),
    "sharpness": Estimator(run=_sharpness, cost=lambda draws: PAIR * draws * len(RADII) + 2 * GRADIENT),
    "apgd": Estimator(run=_apgd, cost=lambda draws: GRADIENT * APGD_STEPS * len(BALLS)),
    "code_flips": Estimator(run=_code_flips, cost=lambda draws: PAIR * draws * len(FRACTIONS)),
    "step_size_noise": Estimator(
        run=_step_size_noise, cost=lambda draws: PAIR * draws * len(SIZES), own="step_size"
    ),
}
DEFAULT = ("lambda_max", "sharpness")
