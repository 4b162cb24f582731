"""Work in progress of a results folder: trained weights, scores of finished shifts, and flatness.

Several runs may share a folder; `claims` says which process does which piece. The one that finishes a cell
removes its work, and a user may remove anything. So a file may vanish at any time: reading it then raises
Vanished, and writing it makes its folder again.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from flatqat import __version__
from flatqat.bench.records.claims import Claims
from flatqat.bench.records.files import (
    Arrays,
    arrays_as_bytes,
    read_arrays,
    remove_file,
    size_of,
    write_atomically,
)
from flatqat.bench.records.leftovers import clean, read_measured, write_measured
from flatqat.bench.records.pictures import Labels
from flatqat.bench.records.record_json import RERUN, parse_json, read_as
from flatqat.bench.records.weights import stated_digest
from flatqat.errors import StoreError, Vanished
from flatqat.spec import Cell, Flatness, Score, ScoringLog
from flatqat.spec.reading import to_plain

SCORES: Any = Mapping[str, Score]
AS_USUAL = ScoringLog()
PICTURE = "picture/"
NO_PICTURES: Mapping[int, Labels] = {}


class Work:
    """What runs leave in a results folder until the record of a cell is written, and its weights."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def claims(self) -> Claims:
        """Return the claims of a run in the folder, for a `with` block."""
        return Claims(self.root / ".work" / "claims", clean=partial(clean, self.root))

    def weights_path(self, cell: Cell, which: str = "selected") -> Path:
        """Return where the deployed weights of a cell are.

        With `which="last"`: those of the last step, which are kept only where another step was selected.
        """
        last = ".last" if which == "last" else ""
        return self.root / "weights" / f"{cell.training_id}{last}.safetensors"

    def has_weights(self, cell: Cell) -> bool:
        """Whether the trained weights of a cell are stored."""
        return self.weights_path(cell).exists()

    def weights_digest(self, cell: Cell) -> str:
        """Return the digest that a cell's weights have by their metadata; empty where that is not known."""
        try:
            return stated_digest(self.weights_path(cell))
        except Vanished:
            return ""

    def weights_size(self, cell: Cell) -> int:
        """Return the bytes of the trained weights of a cell. Raises Vanished if there are none."""
        return size_of(self.weights_path(cell))

    def has_scores(self, cell: Cell, shift: str) -> bool:
        """Whether an unfinished cell has scores on a shift."""
        return self._scores_path(cell, shift).exists()

    def write_scores(
        self,
        cell: Cell,
        shift: str,
        scores: Mapping[str, Score],
        outcomes: Arrays,
        log: ScoringLog = AS_USUAL,
        pictures: Mapping[int, Labels] = NO_PICTURES,
        weights: str = "",
    ) -> None:
        """Store the scores and per-image outcomes of an unfinished cell on a shift, and how it was scored.

        `pictures` has what it predicts of some images, by their place in the shift, and `weights` is the
        digest of the weights that it was scored with.
        """
        content = {"of": [cell.id, shift], "scores": to_plain(scores), "log": log.to_dict()}
        content |= {"weights": weights}
        text = json.dumps(content, allow_nan=False)
        arrays = {**outcomes, **{f"{PICTURE}{at}": labels for at, labels in pictures.items()}}
        write_atomically(
            self._scores_path(cell, shift), arrays_as_bytes({**arrays, "scores": np.array(text)})
        )

    def read_scores(
        self, cell: Cell, shift: str, weights: str = ""
    ) -> tuple[dict[str, Score], Arrays, ScoringLog, dict[int, Labels]]:
        """Return what `write_scores` stored.

        Raises StoreError on a damaged file or that of another cell. Scores of other weights than those with
        the digest `weights`, where both are known, are removed, and Vanished is raised.
        """
        path = self._scores_path(cell, shift)
        arrays = read_arrays(path)
        data = parse_json(str(arrays.pop("scores", "")).encode(), path)
        if data.get("of") != [cell.id, shift]:
            raise StoreError(f"{path}: expected scores of {cell.id} on {shift}, got others; {RERUN}")
        if data.get("weights") and weights and data["weights"] != weights:
            remove_file(path)
            raise Vanished(f"{path}: expected scores of the weights {weights}, got others; run again")
        scores: dict[str, Score] = read_as(SCORES, data.get("scores"), path)
        log = read_as(ScoringLog, data.get("log", {}), path)
        pictures = {key: arrays.pop(key) for key in [*arrays] if key.startswith(PICTURE)}
        return scores, arrays, log, {int(key.removeprefix(PICTURE)): of for key, of in pictures.items()}

    def write_flatness(self, cell: Cell, flatness: Flatness, weights: str = "") -> None:
        """Store the flatness of a cell, of the weights with this digest, until its record is written."""
        write_measured(self._work(cell), flatness, weights)

    def measured(self, cell: Cell) -> Flatness:
        """Return what `write_flatness` stored of the weights that the cell has now, or no flatness.

        Raises StoreError on a damaged file.
        """
        flatness, weights = read_measured(self._work(cell))
        return flatness if not weights or weights == self.weights_digest(cell) else Flatness()

    def drop_work(self, cell: Cell) -> None:
        """Drop what is left of a cell's work, of any version of flatqat."""
        for folder in self.root.glob(f".work/{cell.id}*"):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # other cells may still be at work
            (self.root / ".work").rmdir()

    def forget_work(self, cell: Cell) -> None:
        """Drop weights and partial scores, so that the cell is computed again; its record stays."""
        self.drop_work(cell)
        self.drop_weights(cell.training_id)

    def drop_weights(self, training_id: str) -> None:
        """Remove trained weights by the training id of their cells."""
        for end in ("", ".last"):
            remove_file(self.root / "weights" / f"{training_id}{end}.safetensors")

    def _work(self, cell: Cell) -> Path:
        return self.root / ".work" / f"{cell.id}-{__version__}"

    def _scores_path(self, cell: Cell, shift: str) -> Path:
        return self._work(cell) / f"{shift.replace('/', '@')}.npz"

    def tidy(self) -> None:
        """Remove what killed runs left, unless a run is at work or the folder cannot be written."""
        if (self.root / ".work").exists():
            with suppress(OSError, StoreError), self.claims():
                pass
