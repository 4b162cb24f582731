"""What a user asks for: the options of `bench run` as one value."""

from dataclasses import dataclass, field
from pathlib import Path

from flatqat.bench.settings import Settings
from flatqat.errors import UsageError

MOST_SEEDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run and how. No models and no budget stand for the suite's own defaults.

    `keep` and `layer_bits` are of every quantized cell; no `keep` stands for the first and the last layer.
    """

    suites: tuple[str, ...]
    methods: tuple[str, ...]
    bits: tuple[str, ...]
    keep: tuple[str, ...] | None = None
    layer_bits: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    budget: str | None = None
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
    compute_matched: bool = False
    flatness: bool = True
    rerun: bool = False


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` is how many (0, 1, 2); `0,2` is which; `7,` is the one seed 7."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = all(part.isascii() and part.isdecimal() for part in parts)
    if not parts or not numbers or ("," not in text and not 1 <= int(text) <= MOST_SEEDS):
        raise UsageError(f"--seeds: expected how many (3) or which (0,1,2), got {text!r}")
    return tuple(map(int, parts)) if "," in text else tuple(range(int(text)))
