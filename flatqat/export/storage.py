"""The integer types of ONNX that codes are stored in."""

from dataclasses import dataclass

from onnx import TensorProto

from flatqat.export.grids import ExportedGrid


@dataclass(frozen=True, slots=True)
class Integers:
    """An integer type of ONNX: its number there, its width, its smallest and its largest value."""

    type: int
    bits: int
    low: int
    high: int

    @property
    def name(self) -> str:
        """Its name in ONNX, such as `UINT4`."""
        name: str = TensorProto.DataType.Name(self.type)
        return name


TYPES = (
    Integers(TensorProto.UINT4, 4, 0, 15),
    Integers(TensorProto.INT4, 4, -8, 7),
    Integers(TensorProto.UINT8, 8, 0, 255),
    Integers(TensorProto.INT8, 8, -128, 127),
    Integers(TensorProto.UINT16, 16, 0, 2**16 - 1),
    Integers(TensorProto.INT16, 16, -(2**15), 2**15 - 1),
)


def weight_type(grid: ExportedGrid) -> Integers:
    """Return the narrowest integer type that holds the codes of a weight, those of a table from 0."""
    low = grid.low if grid.scale is not None else 0
    return next(kind for kind in TYPES if kind.low <= low and low + grid.count - 1 <= kind.high)


def input_type(grid: ExportedGrid) -> tuple[Integers, int]:
    """Return the narrowest integer type for the codes of an input, and the zero point added to them.

    It has 8 bits or more: onnxruntime (1.32) refuses to load a `Clip`, as of a ReLU6, before a
    `QuantizeLinear` to 4 bits.
    """
    for bits in (8, 16):
        for zero in (0, -grid.low):
            for kind in TYPES:
                fits = kind.low <= grid.low + zero and grid.high + zero <= kind.high
                if kind.bits == bits and fits and kind.low <= zero <= kind.high:
                    return kind, zero
    raise AssertionError(f"codes {grid.low} to {grid.high} have more than 16 bits")
