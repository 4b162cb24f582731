"""Set the grids of quantizers from what was observed of their tensors."""

from collections.abc import Mapping

from torch import Tensor

from flatqat.errors import TrainingFailed
from flatqat.quant.base import Quantizer, RangeInit
from flatqat.quant.observe import Observer


def set_weight_grid_(
    quantizer: Quantizer, weight: Tensor, name: str, range_init: RangeInit, percentile: float
) -> None:
    """Set the grid of a weight from its values. Raises TrainingFailed if they are not finite."""
    observed = Observer(tuple(quantizer.scale.shape), keep_all=True)
    observed.add(weight)
    set_grid_(quantizer, observed, name, range_init, percentile)


def set_input_grids_(inputs: Mapping[str, Quantizer], range_init: RangeInit, percentile: float) -> None:
    """Set the grids of inputs, by the names of their layers, from what they observed, if that is anything.

    Raises TrainingFailed if it is not finite.
    """
    for name, quantizer in inputs.items():
        if quantizer.observer is not None and quantizer.observer.has_values:
            set_grid_(quantizer, quantizer.observer, f"the input of {name}", range_init, percentile)


def set_grid_(
    quantizer: Quantizer, observed: Observer, tensor: str, range_init: RangeInit, percentile: float
) -> None:
    """Set a grid from what was observed of a tensor. Raises TrainingFailed if it has no finite range."""
    if not bool((observed.low.isfinite() & observed.high.isfinite()).all()):
        problem = "expected finite values to calibrate on, got NaN or infinity"
        raise TrainingFailed(f"{tensor}: {problem}; check the weights that it starts from")
    quantizer.calibrate(observed, range_init, percentile)
    quantizer.calibrated = True
