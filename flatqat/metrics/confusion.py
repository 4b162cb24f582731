"""What is kept of every image of one shift of a segmentation suite: its confusion matrix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusions:
    """Labelled pixels of n images by their true and their predicted class, in the order of the shift.

    `confusion[i, t, p]`, shape (n, C, C): pixels of class t that were taken for p. `unpredicted[i, t]`, shape
    (n, C): pixels of class t whose logits held a NaN, to which no class was given: they are misses of t, and
    nobody's false alarm. Both in the smallest unsigned type that holds their largest count.
    """

    confusion: NDArray[np.unsignedinteger[Any]]
    unpredicted: NDArray[np.unsignedinteger[Any]]

    def __post_init__(self) -> None:
        n, classes = self.unpredicted.shape if self.unpredicted.ndim == 2 else (-1, -1)
        if self.confusion.shape != (n, classes, classes):
            raise ValueError(
                "expected confusion (n, C, C) and unpredicted (n, C), "
                f"got {self.confusion.shape} and {self.unpredicted.shape}"
            )

    @classmethod
    def pack(cls, counts: NDArray[Any]) -> "Confusions":
        """Counts (n, C, C + 1), the last column for no prediction, in the compact types."""
        parts = {"confusion": counts[:, :, :-1], "unpredicted": counts[:, :, -1]}
        return cls(**{name: part.astype(np.min_scalar_type(part.max())) for name, part in parts.items()})

    def __len__(self) -> int:
        return len(self.confusion)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Intersection and union of truth and prediction by class, pixels, shape (n, 2, C).

            intersection_c = TP_c,    union_c = TP_c + FP_c + FN_c

        What IoU needs, and no more.
        """
        hits = self.confusion.diagonal(axis1=1, axis2=2).astype(np.int64)
        truth = self.labelled_by_class
        predicted = self.confusion.sum(axis=1, dtype=np.int64)
        return np.stack([hits, truth + predicted - hits], axis=1)

    @property
    def labelled_by_class(self) -> NDArray[np.int64]:
        """Pixels of each true class, shape (n, C)."""
        predicted: NDArray[np.int64] = self.confusion.sum(axis=2, dtype=np.int64)
        return predicted + self.unpredicted.astype(np.int64)
