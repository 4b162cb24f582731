"""What an exported file of a cell does in a runtime, beside the cell itself. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from flatqat.spec.reading import Stored
from flatqat.spec.shared import SHARED


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Stored):
    """The file beside the cell on the images of one set, or of several together.

    Attributes:
        images: The number of images; of several sets that show the same ones, each counts once per set.
        predictions: The number of predictions: of images, or of labeled pixels.
        agreement: The percentage of predictions that are the same.
        largest: The largest difference of a logit; None where one of the two is not finite alone.
        relative: The same in units of the range of the cell's logits.
        cell: The suite's metric of the cell on these images, in percent; of several sets their mean.
        file: The metric of the file.
        low: The lower end of the 95% interval of `file` - `cell`, paired by image; None if unknown.
        high: Its upper end.
    """

    images: int
    predictions: int
    agreement: float
    largest: float | None
    relative: float | None
    cell: float | None
    file: float | None
    low: float | None
    high: float | None

    @property
    def change(self) -> float | None:
        """The metric of the file minus that of the cell, in points."""
        return None if self.cell is None or self.file is None else self.file - self.cell


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFlips(Stored):
    """How the integer codes at the inputs of quantized layers differ from those of the cell.

    Attributes:
        images: The images that were looked at, over all sets.
        layers: The quantized inputs that were compared.
        codes: The number of codes.
        differing: How many of them differ.
        largest: The largest difference, in steps.
        first: The layer with the first differing input, in the order of computing; empty if none differs.
    """

    images: int
    layers: int
    codes: int
    differing: int
    largest: int
    first: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRun(Stored):
    """One run of the file over all sets.

    Attributes:
        all: The predictions of all sets together, each image of each set once; its metric is OOD.
        families: By family, `id` among them.
        shifts: By set; empty for the control.
        codes: The codes of some images; None if none were compared.
    """

    all: Compared
    families: Mapping[str, Compared]
    shifts: Mapping[str, Compared]
    codes: CodeFlips | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact(Stored):
    """The file beside the cell where both compute in float64: what differs there is no matter of rounding.

    Attributes:
        images: The images that were looked at, over all sets.
        predictions: The number of predictions: of images, or of all pixels that the network returns.
        agreement: The percentage of predictions that are the same.
        largest: The largest difference of a logit; None where one of the two is not finite alone.
        codes: The codes at the inputs of all quantized layers.
        problem: Why there are no numbers; empty if there are.
    """

    images: int = 0
    predictions: int = 0
    agreement: float = 100.0
    largest: float | None = None
    codes: CodeFlips | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Stored):
    """How long one image takes, in milliseconds, over repeated runs after some that do not count.

    Attributes:
        median: Of the file, with graph optimization.
        low: The lower quartile.
        high: The upper quartile.
        runs: The number of runs.
        shape: The shape of the input, which has several images if the file takes no other number.
        float_median: Of the full-precision network in torch, on the same input and threads.
        float_low: The lower quartile.
        float_high: The upper quartile.
    """

    median: float
    low: float
    high: float
    runs: int
    shape: tuple[int, ...]
    float_median: float
    float_low: float
    float_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Stored):
    """An exported file, and how it compares with the cell that it was made from.

    Attributes:
        file: The name of the file.
        sha256: Its SHA-256.
        bytes: Its size.
        runtime: What ran it, such as `onnxruntime`.
        packages: The versions of what the numbers depend on.
        device: The processor's architecture.
        threads: CPU threads of the runtime and of torch.
        limit: The most images of each set; None for all.
        moved: On how many sets the cell's scores are not those of its record, where all its images were used.
        plain: The run without graph optimization.
        optimized: The run with all of it, as the runtime does it unless told otherwise.
        control: The cell beside itself, with sums off by at most one unit in the last place, in place of a
            file: what a faithful file may be off by.
        exact: Both in float64, on some images; None if that was not wanted.
        latency: How long an image takes, if that was measured.
        note: What else to know of these numbers.
    """

    file: str
    sha256: str
    bytes: int
    runtime: str
    packages: Annotated[Mapping[str, str | None], SHARED]
    device: str
    threads: int
    limit: int | None
    plain: FileRun
    optimized: FileRun
    control: FileRun
    exact: Exact | None = None
    moved: int = 0
    latency: Latency | None = None
    note: str = ""
