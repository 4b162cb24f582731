"""The estimators of flatness by name, with their settings, costs and results as JSON values.

Costs weigh the progress bar. They are in forward passes over all images, as timed on convolutional networks
on a CPU: a gradient takes about as long as 4 of them, a Hessian-vector product as 10.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

from flatqat.bench.flatness.flatness_point import FlatnessPoint
from flatqat.console.progress import Advance
from flatqat.errors import choose_all
from flatqat.flatness.apgd import Ball, worst_case_sharpness
from flatqat.flatness.code_flips import code_flips
from flatqat.flatness.density import spectral_density
from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.loss_increase import LossIncrease
from flatqat.flatness.sharpness import average_case_sharpness, one_step_sharpness
from flatqat.flatness.step_size_noise import step_size_noise
from flatqat.flatness.trace import trace
from flatqat.spec import RESIDUAL_TOLERANCE, Space

T = TypeVar("T")
JsonDict = dict[str, Any]

PAIR, GRADIENT, PRODUCT = 2, 4, 10  # in forward passes

ITERATIONS = 30
TRACE_STEPS, TRACE_PROBES = 30, 30
DENSITY_STEPS, DENSITY_PROBES = 40, 5
RADII = (0.05, 0.1, 0.2)
RHO_SAM, RHO_ASAM = 0.05, 0.5
APGD_STEPS = 20
BALLS: Mapping[Ball, float] = {"plain": RHO_SAM, "elementwise": RHO_ASAM, "filter": 0.002}
FRACTIONS = (0.01, 0.1)
SIZES = (0.01, 0.05)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What estimators share: the point, the number of random perturbations, and the progress bar."""

    point: FlatnessPoint
    draws: int
    advance: Advance

    def estimate(self, estimator: Callable[..., T], *, step_cost: int, **settings: Any) -> T:
        """Call an estimator of `flatqat.flatness` that reports steps of `step_cost` forward passes."""
        point, last = self.point, 0

        def progress(done: int, total: int) -> None:
            nonlocal last
            self.advance(step_cost * (done - last))
            last = done

        return estimator(point.losses, point.params, seed=point.seed, progress=progress, **settings)

    def mean_increase(self, estimator: Callable[..., LossIncrease], **settings: Any) -> JsonDict:
        """Return the mean loss increase over random perturbations, with its standard error."""
        increase = self.estimate(estimator, step_cost=PAIR, draws=self.draws, **settings)
        return {"value": increase.value, "stderr": increase.stderr, "draws": increase.draws}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """An entry of ESTIMATORS.

    `measure` returns the results by name, as JSON values, and raises FloatingPointError if one is not finite.
    It costs `passes` forward passes and `passes_per_draw` for each random perturbation. `own_space` is the
    space in which it always measures, or None for the chosen one.
    """

    measure: Callable[[Measurement], JsonDict]
    passes: int = 0
    passes_per_draw: int = 0
    own_space: Space | None = None

    def cost(self, draws: int) -> int:
        """Return the number of forward passes that `measure` reports to `advance`."""
        return self.passes + self.passes_per_draw * draws


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Return `names` without duplicates in the order of ESTIMATORS. Raises UsageError on an unknown name."""
    return choose_all("value of --measure", names, ESTIMATORS)


def work(names: Sequence[str], draws: int) -> int:
    """Return the cost of the estimators called `names` in forward passes over all images."""
    return sum(ESTIMATORS[name].cost(draws) for name in names)


def _lambda_max(run: Measurement) -> JsonDict:
    eigenvalue = run.estimate(
        top_eigenvalue, step_cost=PRODUCT, iterations=ITERATIONS, tolerance=RESIDUAL_TOLERANCE
    )
    return {"lambda_max": asdict(eigenvalue)}


def _trace(run: Measurement) -> JsonDict:
    return {"trace": asdict(run.estimate(trace, step_cost=PRODUCT, steps=TRACE_STEPS, probes=TRACE_PROBES))}


def _density(run: Measurement) -> JsonDict:
    density = run.estimate(spectral_density, step_cost=PRODUCT, steps=DENSITY_STEPS, probes=DENSITY_PROBES)
    return {"density": asdict(density)}


def _sharpness(run: Measurement) -> JsonDict:
    losses, params = run.point.losses, run.point.params
    radii = () if run.point.space == "step_size" else RADII  # step sizes have no filters to normalize by
    return {
        "sharpness_avg": {str(r): run.mean_increase(average_case_sharpness, radius=r) for r in radii},
        "sharpness_sam": {"value": one_step_sharpness(losses, params, rho=RHO_SAM).value, "rho": RHO_SAM},
        "sharpness_asam": {
            "value": one_step_sharpness(losses, params, rho=RHO_ASAM, adaptive=True).value,
            "rho": RHO_ASAM,
        },
    }


def _apgd(run: Measurement) -> JsonDict:
    worst = partial(run.estimate, worst_case_sharpness, step_cost=GRADIENT, iterations=APGD_STEPS)
    return {
        "apgd": {
            ball: {"value": worst(radius=rho, ball=ball).value, "rho": rho, "steps": APGD_STEPS}
            for ball, rho in BALLS.items()
            if ball != "filter" or run.point.space != "step_size"
        }
    }


def _code_flips(run: Measurement) -> JsonDict:
    point = run.point
    if not point.lower:
        return {"code_flips": _missing("expected quantized weights in the space 'quantized', got none")}
    zero_filters = sum(int((point.params[name].flatten(1) == 0).all(1).sum()) for name in point.lower)
    increase = partial(run.mean_increase, code_flips, lower=point.lower, upper=point.upper)
    by_fraction = {str(fraction): increase(fraction=fraction) for fraction in FRACTIONS}
    return {"code_flips": {"zero_filters": zero_filters, **by_fraction}}


def _step_size_noise(run: Measurement) -> JsonDict:
    if not run.point.params:
        return {"step_size_noise": _missing("expected step sizes, got none")}
    by_size = {str(size): run.mean_increase(step_size_noise, size=size) for size in SIZES}
    return {"step_size_noise": {"space": run.point.space, **by_size}}


def _missing(reason: str) -> JsonDict:
    return {"value": None, "reason": reason}


ESTIMATORS: Mapping[str, Estimator] = {
    "lambda_max": Estimator(measure=_lambda_max, passes=PRODUCT * ITERATIONS),
    "trace": Estimator(measure=_trace, passes=PRODUCT * (TRACE_STEPS + TRACE_PROBES)),
    "density": Estimator(measure=_density, passes=PRODUCT * DENSITY_STEPS * DENSITY_PROBES),
    "sharpness": Estimator(measure=_sharpness, passes=2 * GRADIENT, passes_per_draw=PAIR * len(RADII)),
    "apgd": Estimator(measure=_apgd, passes=GRADIENT * APGD_STEPS * len(BALLS)),
    "code_flips": Estimator(measure=_code_flips, passes_per_draw=PAIR * len(FRACTIONS)),
    "step_size_noise": Estimator(
        measure=_step_size_noise, passes_per_draw=PAIR * len(SIZES), own_space="step_size"
    ),
}
DEFAULT = ("lambda_max", "sharpness")
