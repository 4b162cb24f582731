"""What is kept of every image of one shift, so that any later test needs no GPU: 3 or 4 bytes an image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST = np.finfo(np.float16).max
_SMALLEST = np.finfo(np.float16).smallest_subnormal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """The predicted class and the margin of n images, in the order of the shift.

    `pred` is uint8 below 256 classes and uint16 from there on, shape (n,); the value `classes`, which is no
    class, says that the logits held a NaN and nothing was predicted. `margin` is float16, shape (n,): the
    logit of the true class minus the best other one, always finite. Its sign is exact, whatever its size:
    an image is right if and only if its margin is above zero.
    """

    pred: NDArray[np.unsignedinteger[Any]]
    margin: NDArray[np.float16]

    def __post_init__(self) -> None:
        if self.pred.shape != self.margin.shape or self.pred.ndim != 1:
            raise ValueError(
                f"expected two arrays of one length, got {self.pred.shape} and {self.margin.shape}"
            )

    @classmethod
    def pack(
        cls, pred: NDArray[Any], margin: NDArray[Any], labels: NDArray[Any], *, classes: int
    ) -> "Outcomes":
        """Round to the compact types; `pred == labels` decides what is right, and the margin follows it.

        A tie goes to the class that `pred` names, so a right image may have margin 0: it is stored as
        2^-24, the smallest float16. So is a positive margin that rounds to 0. Margins beyond +-65504 are
        clipped. A margin that is NaN (no prediction, or two logits at the same infinity) becomes 2^-24 for
        a right image and -65504 for a wrong one.
        """
        correct = pred == labels
        finite = np.nan_to_num(margin, nan=-np.inf).clip(-_LARGEST, _LARGEST).astype(np.float16)
        signed = np.where(correct, np.maximum(finite, _SMALLEST), np.minimum(finite, np.float16(0)))
        return cls(pred=pred.astype(np.min_scalar_type(classes)), margin=signed)

    def __len__(self) -> int:
        return len(self.pred)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image is right, shape (n,)."""
        return self.margin > 0
