"""The stored outcome of every image of one shift of a segmentation suite: its confusion matrix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusions:
    """Labeled pixels of n images by true and predicted class, in the order of the shift.

    `confusion[i, t, p]`, shape (n, C, C), counts pixels of class t that were predicted as p.
    `unpredicted[i, t]`, shape (n, C), counts pixels of class t with a NaN among their logits. They have no
    prediction: they are false negatives of t and false positives of no class. Both arrays have the smallest
    unsigned type that holds their largest count. Raises ValueError on other shapes.
    """

    confusion: NDArray[np.unsignedinteger[Any]]
    unpredicted: NDArray[np.unsignedinteger[Any]]

    def __post_init__(self) -> None:
        n, classes = self.unpredicted.shape if self.unpredicted.ndim == 2 else (-1, -1)
        if self.confusion.shape != (n, classes, classes):
            shapes = f"{self.confusion.shape} and {self.unpredicted.shape}"
            raise ValueError(f"expected confusion (n, C, C) and unpredicted (n, C), got {shapes}")

    @classmethod
    def pack(cls, counts: NDArray[Any]) -> "Confusions":
        """Return counts of shape (n, C, C + 1), whose last column is for no prediction, in compact types."""
        parts = {"confusion": counts[:, :, :-1], "unpredicted": counts[:, :, -1]}
        return cls(**{name: part.astype(np.min_scalar_type(part.max())) for name, part in parts.items()})

    def __len__(self) -> int:
        return len(self.confusion)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Intersection and union of truth and prediction by class in pixels, shape (n, 2, C).

        intersection_c = TP_c,    union_c = TP_c + FP_c + FN_c
        """
        intersection = self.confusion.diagonal(axis1=1, axis2=2).astype(np.int64)
        predicted = self.confusion.sum(axis=1, dtype=np.int64)
        return np.stack([intersection, self.labeled_by_class + predicted - intersection], axis=1)

    @property
    def labeled_by_class(self) -> NDArray[np.int64]:
        """Number of pixels of each true class, shape (n, C)."""
        predicted: NDArray[np.int64] = self.confusion.sum(axis=2, dtype=np.int64)
        return predicted + self.unpredicted.astype(np.int64)
