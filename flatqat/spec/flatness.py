"""How flat the loss is around a cell's weights. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from flatqat.spec.environment import Environment
from flatqat.spec.reading import Stored
from flatqat.spec.shared import SHARED

Space = Literal["quantized", "latent", "step_size"]
SPACES: tuple[Space, ...] = get_args(Space)

RESIDUAL_TOLERANCE = 1e-3
"""Relative residual of an eigenvalue above which it has not converged, and reports mark it with a star."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eigenvalue(Stored):
    """The largest eigenvalue of the loss Hessian, in units of loss per squared unit of weight.

    Attributes:
        value: The eigenvalue, or None where the network has no second derivative.
        residual: ||Hv - value v|| / |value| of its unit vector v, or None without a value.
        iterations: Hessian-vector products that were computed.
        smallest: An upper bound of the smallest eigenvalue.
        smallest_residual: The relative residual of `smallest`.
        reason: Why there is no value; empty where there is one.
    """

    value: float | None
    residual: float | None
    iterations: int = 0
    smallest: float | None = None
    smallest_residual: float | None = None
    reason: str = ""

    @property
    def converged(self) -> bool:
        """Whether the residual is at most RESIDUAL_TOLERANCE."""
        return self.residual is not None and self.residual <= RESIDUAL_TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanRise:
    """The mean rise of the loss, in its units, over random moves of the weights, with its standard error."""

    value: float
    stderr: float | None
    draws: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstRise:
    """The rise of the loss, in its units, along one ascent step of SAM or ASAM of length `rho`."""

    value: float
    rho: float


def number(measured: Eigenvalue | MeanRise | WorstRise | None) -> float | None:
    """Return the number of a measure, or None where it was not measured."""
    return None if measured is None else measured.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceFlatness(Stored):
    """What was measured in one space; a measure that was not is None.

    Attributes:
        space: Which tensors are moved: the deployed weights, the latent weights, or the step sizes.
        acts: Whether the input quantizers were on.
        backward: `straight-through` where a quantizer's own backward, being no gradient, was replaced.
        images: The number of training images that the loss is a mean over.
        chunk: The number of images in memory at a time, where memory lacked for as many as usual; else 0.
        seed: The seed of all random draws.
        loss: The loss at the point itself.
        weight_norm: The L2 norm of the tensors that are moved; the Hessian scales with it.
        lambda_max: The largest eigenvalue of the Hessian.
        sharpness_avg: The mean rise by radius (`0.1`), every filter moved by this share of its norm.
        sharpness_sam: The rise along SAM's ascent step.
        sharpness_asam: The rise along ASAM's ascent step.
        trace: The trace of the Hessian, as its estimator reports it; so are all below.
        density: The spectral density of the Hessian.
        apgd: The worst rise in a ball, by the kind of ball.
        code_flips: The mean rise when a share of the weights moves to a neighboring code.
        step_size_noise: The mean rise when the step sizes are moved at random.
        not_repeatable: Operators without an algorithm that repeats on the device.
        env: Where it was measured, if not where the record says.
    """

    space: Space
    acts: Literal["on", "off"]
    backward: str = ""
    images: int
    chunk: int = 0
    seed: int
    loss: float
    weight_norm: float
    lambda_max: Eigenvalue | None = None
    sharpness_avg: Mapping[str, MeanRise] | None = None
    sharpness_sam: WorstRise | None = None
    sharpness_asam: WorstRise | None = None
    trace: Mapping[str, Any] | None = None
    density: Mapping[str, Any] | None = None
    apgd: Mapping[str, Any] | None = None
    code_flips: Mapping[str, Any] | None = None
    step_size_noise: Mapping[str, Any] | None = None
    not_repeatable: tuple[str, ...] = ()
    env: Annotated[Environment | None, SHARED] = None

    def mean_rise(self, radius: str) -> float | None:
        """Return the mean rise of the loss at a radius such as `0.1`, or None."""
        return number((self.sharpness_avg or {}).get(radius))


PASSING = ("crashed: ", "out of memory", "failed: ")
"""How reasons begin that may pass: code can be fixed, memory freed, and a file restored."""


def passing(reason: str) -> str:
    """Return a reason so that it is known as one that may pass."""
    return reason if reason.startswith(PASSING) else f"failed: {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatness(Stored):
    """The flatness of a cell, space by space; a space that was not measured is None.

    Attributes:
        quantized: At the deployed weights.
        latent: At the latent weights, with rounding and its straight-through gradient in the loop.
        step_size: In the step sizes of the quantizers.
        failures: Why measuring failed, by space.
        failed: In older records, why measuring failed in all spaces that they lack.
    """

    quantized: SpaceFlatness | None = None
    latent: SpaceFlatness | None = None
    step_size: SpaceFlatness | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""

    @property
    def reasons(self) -> str:
        """Why measuring failed, with the names of the spaces; empty where it did not."""
        return "; ".join(f"{space}: {reason}" for space, reason in self.failures.items()) or self.failed

    def failure(self, space: Space) -> str:
        """Return why measuring in a space failed; empty if it did not."""
        return self.failures.get(space, self.failed if self.space(space) is None else "")

    def cannot_be_measured(self, space: Space) -> bool:
        """Whether measuring in a space failed on the numbers themselves, so that it would fail again."""
        reason = self.failure(space)
        return bool(reason) and not reason.startswith(PASSING)

    @property
    def spaces(self) -> dict[Space, SpaceFlatness]:
        """The spaces that were measured, in the order of SPACES."""
        return {space: measured for space in SPACES if (measured := self.space(space)) is not None}

    def updated(self, later: "Flatness") -> "Flatness":
        """Return this flatness with what was measured later in place of its own.

        Failures stay of the spaces that neither measured; that of an older record ends with what comes later.
        """
        if later == Flatness():
            return self
        measured = self.spaces | later.spaces
        failures = {s: why for s, why in {**self.failures, **later.failures}.items() if s not in measured}
        return Flatness(**measured, failures=failures, failed=later.failed)

    def space(self, name: Space) -> SpaceFlatness | None:
        """Return what was measured in a space, or None."""
        measured: SpaceFlatness | None = getattr(self, name)
        return measured
