"""What is wrong with a results folder: every file of every cell is looked at, and every score computed again.

Nothing here needs weights, data or a GPU: the scores of a record follow from the outcomes of its images, as
far as these tell them (`Metric.scores`).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isclose
from pathlib import Path

from flatqat.bench.records.files import Arrays, read_arrays, read_bytes
from flatqat.bench.records.outcomes import stacks
from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sound_pictures import wrong_pictures, wrong_predictions
from flatqat.bench.records.store import RECORD_NAME, Store
from flatqat.bench.records.weights import check_weights, digest_of_stored
from flatqat.errors import StoreError, UsageError, found
from flatqat.metrics.detection import detection
from flatqat.spec import Record, ShiftInfo

ShiftsOf = Callable[[Record], Mapping[str, ShiftInfo]]
PRECISION = 1e-12
"""Relative, of the same sums in float64, which another processor may add up in another order."""


class Examined:
    """What was found in a results folder.

    Attributes:
        records: The records with which nothing is wrong.
        problems: Everything that is wrong, a line each, which begins with the file.
        scores: How many scores were computed again.
    """

    def __init__(self, store: Store, shifts_of: ShiftsOf = lambda record: {}) -> None:
        """Look at all files of a results folder. Raises StoreError if there are no records.

        `shifts_of` returns what the suite of a record says of its shifts, as far as that is known.
        """
        folder = store.root / "records"
        if not folder.is_dir():
            raise StoreError(f"{folder}: expected a folder, found {found(folder)}; name a results folder")
        self.records: list[Record] = []
        self.problems: list[str] = []
        self.scores = 0
        self._store, self._shifts_of = store, shifts_of
        self._data = {path.stem for path in store.root.glob("data/*.json")}
        paths = [path for path in sorted(folder.glob("*/*")) if not path.name.startswith(".")]
        if not paths:
            raise StoreError(f"expected records in {folder}, got none; name a results folder")
        for path in paths:
            record, problems = self._examine(path)
            self.problems += [line for line in problems if line not in self.problems]
            if record and not problems:
                self.records.append(record)
        self.problems += wrong_pictures(store)

    def _examine(self, path: Path) -> tuple[Record | None, list[str]]:
        """Return the record in a file, if it is one, and what is wrong with it and all that belongs to it."""
        if path.suffix == ".npz":
            alone = not path.with_suffix(".json").exists()
            return None, [f"{path}: expected a record beside it, got none of its name"] * alone
        if not RECORD_NAME.fullmatch(path.name):
            return None, [f"{path}: expected a record or its outcomes, under the name of a cell"]
        problems: list[str] = []
        try:
            record = self._store.read(path)
            problems += self._of_folder(record, path)
            if record.status == "done":
                problems += self._of_outcomes(record)
                problems += wrong_predictions(record, self._store)
                problems += self._of_weights(record)
        except StoreError as error:
            return None, [*problems, str(error)]
        except UsageError as error:
            return None, [*problems, f"{path}: cell: {error}"]
        return record, problems

    def _of_folder(self, record: Record, path: Path) -> Iterator[str]:
        """Yield what does not fit together in a record and with the fingerprints of its folder."""
        key = record.data_key
        if record.status != "done":
            return
        if key not in self._data:
            file = self._store.root / "data" / f"{key}.json"
            yield f"{file}: expected the fingerprint of its records, {record.protocol.data}, got none"
        stated = self._shifts_of(record)
        for name, info in record.protocol.shifts.items():
            if name in stated and info != stated[name]:
                needed = f"expected {stated[name]}, as its suite has it"
                yield f"{path}: protocol.shifts.{name}: {needed}, got {info}"
        if record.protocol.quant != record.cell.quant_spec:
            expected, got = record.cell.quant_spec, record.protocol.quant
            yield f"{path}: protocol.quant: expected {expected}, as in its cell, got {got}"

    def _of_weights(self, record: Record) -> Iterator[str]:
        """Yield how stored weights are not those of a record. Raises StoreError on damaged ones."""
        for which in ("selected", "last"):
            path = self._store.weights_path(record.cell, which)
            if path.exists():
                check_weights(path)
                digest, known = digest_of_stored(path).hex(), record.train.weights
                if which == "selected" and known and digest != known:
                    yield f"{path}: expected the SHA-256 of its record, {known}, got {digest}"

    def _of_outcomes(self, record: Record) -> Iterator[str]:
        """Yield how the outcomes of a record are not its own, and which scores do not follow from them."""
        file, path = self._store.outcomes_path(record.cell), self._store.record_path(record.cell)
        if not file.exists():
            yield f"{file}: expected the outcomes of its record, got none"
            return
        digest = hashlib.sha256(read_bytes(file)).hexdigest()
        if record.outcomes_sha256 and digest != record.outcomes_sha256:
            yield f"{file}: expected the SHA-256 of its record, {record.outcomes_sha256}, got {digest}"
        try:
            differing = [*self._differing(record, stacks(read_arrays(file)))]
        except StoreError:
            raise
        except Exception as error:  # whatever numpy makes of arrays that are no outcomes
            yield f"{file}: expected the outcomes of its record, got other arrays ({error!r})"
            return
        if differing:
            more = f"; and {len(differing) - 1} more" if len(differing) > 1 else ""
            yield f"{path}: {differing[0]}{more}"

    def _differing(self, record: Record, groups: Sequence[tuple[list[str], Arrays]]) -> Iterator[str]:
        """Yield which sets have no outcomes or no scores, or else which scores are not those of outcomes."""
        stored = {str(shift) for shifts, _ in groups for shift in shifts}
        if odd := sorted(stored ^ set(record.scores)):
            got = "scores alone" if odd[0] in record.scores else "outcomes alone"
            yield f"scores.{odd[0]}: expected scores and outcomes, got {got}"
            return
        yield from self._detected(record, groups)
        for shifts, arrays in groups:
            for place, shift in enumerate(shifts):
                yield from self._rescored(
                    record, shift, {name: array[place] for name, array in arrays.items()}
                )

    def _detected(self, record: Record, groups: Sequence[tuple[list[str], Arrays]]) -> Iterator[str]:
        """Yield the AUROC of a set that does not follow from the confidences of its images and of ID's.

        A compact copy has no confidences.
        """
        confidences = {
            f"{shift}:confidence": arrays["confidence"][place]
            for shifts, arrays in groups
            if "confidence" in arrays
            for place, shift in enumerate(shifts)
        }
        if not confidences:
            return
        kept = {shift: scores["auroc"] for shift, scores in record.scores.items() if "auroc" in scores}
        expected = detection(confidences, [shift for shift in kept if f"{shift}:confidence" in confidences])
        for shift, score in kept.items():
            self.scores += 1
            value = expected[shift].value if shift in expected and shift != "id" else None
            if not _same(value, score.value):
                yield f"scores.{shift}.auroc.value: expected {value}, from its outcomes, got {score.value}"

    def _rescored(self, record: Record, shift: str, arrays: Arrays) -> Iterator[str]:
        """Yield the scores of a set that are not those of its outcomes."""
        metric, kept = metric_of(record), record.scores[shift]
        if lacking := [name for name in metric.needs if name not in arrays]:
            yield f"scores.{shift}: expected outcomes with the array {lacking[0]}, got {', '.join(arrays)}"
            return
        for name, score in metric.scores(arrays).items():
            self.scores += 1
            for part in ("value", "n", "stderr"):
                expected, got = getattr(score, part), getattr(kept.get(name), part, None)
                if not _same(expected, got):
                    yield f"scores.{shift}.{name}.{part}: expected {expected}, from its outcomes, got {got}"


def _same(expected: float | None, got: float | None) -> bool:
    if expected is None or got is None:
        return expected is got
    return isclose(expected, got, rel_tol=PRECISION, abs_tol=PRECISION)
