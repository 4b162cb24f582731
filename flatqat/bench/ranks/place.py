"""The rank of a process that torchrun started, read from its environment. Standard library only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flatqat.errors import UsageError

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
HOW = "start it with torchrun --nproc-per-node N -m flatqat bench run ... --distributed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The number of a process among `size`, and among the `local_size` on its machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Place":
        """Read what torchrun has set. Raises UsageError if it did not start this process."""
        if missing := [name for name in NEEDED if not environment.get(name)]:
            raise UsageError(
                f"--distributed: expected the variables that torchrun sets, got no {missing[0]}; {HOW}"
            )
        rank, size = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
        local_rank = _number(environment, "LOCAL_RANK", rank)
        local_size = _number(environment, "LOCAL_WORLD_SIZE", size)
        if rank >= size or local_rank >= local_size:
            raise UsageError(f"--distributed: expected a RANK below WORLD_SIZE, got {rank} of {size}; {HOW}")
        return cls(rank=rank, size=size, local_rank=local_rank, local_size=local_size)

    @property
    def leads(self) -> bool:
        """Whether this is the process that decides, prints and writes."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Return the device of this process, where `auto` and `cuda` stand for the GPU of its own number.

        Raises UsageError for one GPU by its number.
        """
        if re.fullmatch("cuda:[0-9]+", name):
            raise UsageError(
                f"--device {name}: expected auto, cpu or cuda with --distributed, where each process takes "
                "the GPU of its own number; choose GPUs with CUDA_VISIBLE_DEVICES"
            )
        if name == "auto":
            import torch

            name = "cuda" if torch.cuda.is_available() else "cpu"
        return f"cuda:{self.local_rank}" if name == "cuda" else name


def _number(environment: Mapping[str, str], name: str, otherwise: int = 0) -> int:
    text = environment.get(name, str(otherwise))
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise UsageError(f"--distributed: expected a number in {name}, got {text!r}; {HOW}")
    return int(text)
