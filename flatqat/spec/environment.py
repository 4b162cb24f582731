"""Where numbers were computed. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flatqat.spec.reading import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuda(Stored):
    """What numbers of a GPU depend on besides its name.

    Attributes:
        version: The version of CUDA that torch was built with.
        cudnn: The version of cuDNN.
        driver: The version of the driver; empty where the system does not tell.
        flags: Whether algorithms repeat where torch has such, and whether TF32 may replace float32.
    """

    version: str = ""
    cudnn: str = ""
    driver: str = ""
    flags: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment(Stored):
    """Where a cell was computed.

    Attributes:
        device: The GPU's name, or `cpu` with the machine's architecture.
        threads: CPU threads of torch.
        flatqat: The version of flatqat.
        python: The version of Python.
        packages: The version of each package that numbers depend on; None where it was not installed.
        kernels: What computes the rounding, which adds up gradients in an order of its own: `compiled` here,
            `triton` or `torch`; empty in older records.
        cuda: What else numbers of a GPU depend on; None on a CPU and in older records.
    """

    device: str
    threads: int
    flatqat: str
    python: str
    packages: Mapping[str, str | None]
    kernels: str = ""
    cuda: Cuda | None = None

    @property
    def kind(self) -> str:
        """The kind of device: `cpu`, or the name of the GPU."""
        return "cpu" if self.device.startswith("cpu") else self.device
