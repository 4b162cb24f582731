"""The stored outcome of every image of one shift: 7 or 8 bytes, from which tests need no GPU."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INFINITY = 0x7C00  # the bits of the first float16 above all finite ones
_LARGEST = np.finfo(np.float16).max
_SMALLEST = np.finfo(np.float16).smallest_subnormal


def is_right(margin: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether each margin is above zero; float16 by its bits, since processors compare no float16."""
    if margin.dtype != np.float16:
        return margin > 0
    bits = margin.view(np.int16)
    right: NDArray[np.bool_] = (bits > 0) & (bits <= _INFINITY)
    return right


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """The predicted class, the margin and the confidence of n images, in the order of the shift.

    `pred`, shape (n,), is uint8 below 256 classes and uint16 otherwise. Its value is the number of classes,
    which is not a class, if a logit was NaN and nothing was predicted. `margin`, float16 of shape (n,), is
    the logit of the true class minus the largest other logit, and always finite. Its sign is exact: an image
    is classified correctly if and only if its margin is above zero. `confidence`, float32 of shape (n,), is
    the probability of the predicted class, NaN if that is undefined. Raises ValueError on other shapes.
    """

    pred: NDArray[np.unsignedinteger[Any]]
    margin: NDArray[np.float16]
    confidence: NDArray[np.float32]

    def __post_init__(self) -> None:
        shapes = [array.shape for array in (self.pred, self.margin, self.confidence)]
        if len(set(shapes)) > 1 or self.pred.ndim != 1:
            raise ValueError(f"expected arrays of one length, got {', '.join(map(str, shapes))}")

    @classmethod
    def pack(
        cls,
        pred: NDArray[Any],
        margin: NDArray[Any],
        labels: NDArray[Any],
        confidence: NDArray[Any],
        *,
        classes: int,
    ) -> "Outcomes":
        """Return the outcomes in compact types, from arrays (n,).

        An image is correct if `pred == labels`, and the sign of the stored margin agrees with that. On a tie
        `pred` decides, so a correct image may have margin 0. It is stored as 2^-24, the smallest float16, and
        so is a positive margin that rounds to 0. Margins beyond +-65504 are clipped. A margin of NaN (no
        prediction, or two logits at the same infinity) becomes 2^-24 if correct and -65504 if wrong.
        """
        correct = pred == labels
        finite = np.nan_to_num(margin, nan=-np.inf).clip(-_LARGEST, _LARGEST).astype(np.float16)
        signed = np.where(correct, np.maximum(finite, _SMALLEST), np.minimum(finite, np.float16(0)))
        stored = pred.astype(np.min_scalar_type(classes))
        return cls(pred=stored, margin=signed, confidence=confidence.astype(np.float32))

    def __len__(self) -> int:
        return len(self.pred)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image is classified correctly, shape (n,)."""
        return is_right(self.margin)
