"""What a user asks for: the options of `bench run` as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flatqat.bench.plan.settings import Settings
from flatqat.errors import UsageError, choose
from flatqat.spec import Cell

MOST_SEEDS = 1000

Space = Literal["quantized", "latent", "step_size"]
SPACES: tuple[Space, ...] = ("quantized", "latent", "step_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run and how. No models and no recipe stand for the suite's own defaults.

    `keep` and `layer_bits` are of every quantized cell; no `keep` stands for the first and the last layer.
    Flatness is measured in the `spaces`, in none if there are none. `window` is the text of a sliding window
    of inference, or `whole`; without it the model's source decides.
    """

    suites: tuple[str, ...]
    methods: tuple[str, ...]
    bits: tuple[str, ...]
    keep: tuple[str, ...] | None = None
    layer_bits: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    recipe: str | None = None
    settings: Settings = field(default_factory=dict)
    weights: Path | None = None
    pretrained: bool = False
    data_root: Path | None = None
    results: Path = Path("results")
    device: str = "auto"
    amp: bool = False
    threads: int = 1
    workers: int = 0
    limit: int | None = None
    window: str | None = None
    compute_matched: bool = False
    spaces: tuple[Space, ...] = ("quantized",)
    rerun: bool = False


def parse_spaces(names: tuple[str, ...]) -> tuple[Space, ...]:
    """Each once, in the order of SPACES. Raises UsageError on an unknown one."""
    for name in names:
        choose("space", name, SPACES)
    return tuple(space for space in SPACES if space in names)


def lacking_spaces(cell: Cell, flatness: Mapping[str, object], request: Request) -> list[Space]:
    """The spaces that are wanted of a cell and not in its `flatness`; none where measuring failed before.

    Full precision has the space `quantized` alone: there is no rounding to stand before or behind.
    """
    if "failed" in flatness:
        return []
    floating = cell.quant_spec.is_fp
    return [s for s in request.spaces if s not in flatness and (s == "quantized" or not floating)]


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` is how many (0, 1, 2); `0,2` is which; `7,` is the one seed 7."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = all(part.isascii() and part.isdecimal() for part in parts)
    if not parts or not numbers or ("," not in text and not 1 <= int(text) <= MOST_SEEDS):
        raise UsageError(f"--seeds: expected how many (3) or which (0,1,2), got {text!r}")
    return tuple(map(int, parts)) if "," in text else tuple(range(int(text)))
