"""Curves as event files for TensorBoard, a folder for each cell."""

from collections.abc import Sequence

from flatqat.bench.sinks.sink import Row, Sink, Training


class TensorBoard(Sink):
    """Writes `tensorboard/SUITE/CELL`; where a cell is trained again, its new curves replace the old ones."""

    package = "tensorboard"

    def __init__(self, training: Training) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = training.folder / "tensorboard" / training.suite / training.label
        self._writer = SummaryWriter(str(folder), purge_step=0)

    def scalars(self, rows: Sequence[Row]) -> None:
        """Take the values after some steps."""
        for step, values in rows:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write the rest."""
        self._writer.close()
