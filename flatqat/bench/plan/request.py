"""What the user requests: the options of `bench run` as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flatqat.bench.plan.arguments import Check, flag, number, numbers, optional, path, settings, text, texts
from flatqat.bench.plan.settings import Settings
from flatqat.errors import UsageError, choose, choose_all
from flatqat.spec import ADAPTATIONS, SPACES, Adapt, Cell, Flatness, Space

DEFAULT_SEEDS = (0, 1, 2)
MOST_SEEDS = 1000
MOST_SEED_DIGITS = 18
MOST_JOBS, MOST_PER_DEVICE, MOST_WORKERS = 1024, 64, 256
LEAST_LIMIT = 2  # images: one has no scatter


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run and how. Without arguments it is the default benchmark.

    Attributes:
        suites: Names of suites, such as `digits-c` or `pacs@sketch`.
        methods: Names of methods.
        bits: Bit-widths as text: `4`, `w4a8`, `w4a32@lsq`, `fp`.
        keep: Layers kept at 8 bits, as name patterns; by default the first and the last one.
        layer_bits: Bit-widths of single layers, such as `layer4.*=w2a4`.
        models: Names of models; by default the suite's own.
        seeds: One run of every cell for each seed; by default DEFAULT_SEEDS, of which a suite and a model
            for which nothing is trained take only the first.
        recipe: The name of the suite's recipe; by default its first.
        settings: Values by owner and key, as text: `{"anchor": {"strength": "0.1"}}`. Of several values,
            which commas separate (`"0.1,0.5"`), each is run, in every combination with those of others.
        weights: A file of initial weights, instead of pretraining.
        pretrained: Whether to start from the weights of the model's source, which may be downloaded.
        data_root: The folder of all datasets.
        results: The results folder.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        devices: The device of each process, that of the one that starts the others first, in place of
            `device` and `jobs`.
        ray: The Ray cluster whose workers do it: `local`, `auto` or `HOST:PORT`; None for processes here.
        per_device: How many workers of a Ray cluster share a GPU.
        amp: Whether forward passes run in bfloat16.
        compile: Whether training steps are compiled.
        jobs: How many processes share the work; None for as many as pay.
        threads: CPU threads of PyTorch, in each process.
        workers: Threads that decode images, and on a CPU corrupt them; 0 does it in the main thread.
        limit: How many images of each shift are scored; by default all.
        window: A sliding window of inference, `512:256`, or `whole`; by default the model's own.
        adapt: What is adapted to each scored set, on its images without labels; by default nothing.
        compute_matched: Whether methods with a single pass per step get twice the steps.
        spaces: Where flatness is measured; empty for nowhere.
        rerun: Whether stored cells are computed again.
        log: The tool that training curves are written for: `tensorboard`, `wandb` or `mlflow`; None for none.
        plugins: Python files that export a plugin, whose names are then known. One that was edited since the
            last request is read again.
    """

    suites: tuple[str, ...] = ("digits-c",)
    methods: tuple[str, ...] = ("fp", "qat", "anchor")
    bits: tuple[str, ...] = ("4",)
    keep: tuple[str, ...] | None = None
    layer_bits: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    recipe: str | None = None
    settings: Settings = field(default_factory=dict)
    weights: Path | None = None
    pretrained: bool = False
    data_root: Path | None = None
    results: Path = Path("results")
    device: str = "auto"
    devices: tuple[str, ...] = ()
    ray: str | None = None
    per_device: int = 1
    amp: bool = False
    compile: bool = False
    threads: int = 1
    jobs: int | None = 1
    workers: int = 0
    limit: int | None = None
    window: str | None = None
    adapt: Adapt | None = None
    compute_matched: bool = False
    spaces: tuple[Space, ...] = ("quantized",)
    rerun: bool = False
    log: str | None = None
    plugins: tuple[str | Path, ...] = ()

    def __post_init__(self) -> None:
        """Raise UsageError for a value that a field cannot have, as the command line does for an option."""
        for name, check in CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if self.weights and self.pretrained:
            raise UsageError("--weights and --pretrained both name initial weights; leave one of them out")


def parse_jobs(text: str) -> int | None:
    """Parse a number of processes, or `auto` as None. Raises UsageError."""
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MOST_JOBS):
        raise UsageError(f"--jobs: expected auto or a number from 1 to {MOST_JOBS}, got {text!r}")
    return int(text)


def parse_adapt(name: str | None) -> Adapt | None:
    """Return what is adapted. Raises UsageError on an unknown name."""
    return None if name is None else choose("value of --adapt", name, ADAPTATIONS)


def parse_spaces(names: tuple[str, ...]) -> tuple[Space, ...]:
    """Return the named spaces without repetition, in the order of SPACES; raises UsageError on others."""
    return choose_all("value of --space", names, SPACES)


def lacking_spaces(cell: Cell, flatness: Flatness, request: Request) -> list[Space]:
    """Return the requested spaces that a cell's `flatness` lacks, without those that cannot be measured."""
    has = SPACES[:1] if cell.quant_spec.is_fp else SPACES  # floating point rounds nothing
    lacking = [space for space in request.spaces if space in has and flatness.space(space) is None]
    return [space for space in lacking if not flatness.cannot_be_measured(space)]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse `3` as the seeds 0, 1, 2, `0,2` as these two, and `7,` as the one seed 7."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = all(part.isascii() and part.isdecimal() for part in parts)
    if not parts or not numbers or ("," not in text and not 1 <= int(text) <= MOST_SEEDS):
        expected = f"expected how many, 1 to {MOST_SEEDS}, or which, such as 0,1,2 (7, is seed 7 alone)"
        raise UsageError(f"--seeds: {expected}, got {text!r}")
    if max(map(len, parts)) > MOST_SEED_DIGITS:
        raise UsageError(f"--seeds: expected seeds of at most {MOST_SEED_DIGITS} digits, got longer ones")
    return tuple(map(int, parts)) if "," in text else tuple(range(int(text)))


CHECKS: Mapping[str, Check] = {
    "suites": texts("digits-c"),
    "methods": texts("qat", least=1),
    "bits": texts("4"),
    "keep": optional(texts("first")),
    "layer_bits": texts("layer4.*=w2a4"),
    "models": texts("tiny"),
    "seeds": optional(numbers(0, 10**MOST_SEED_DIGITS - 1)),
    "recipe": optional(text),
    "settings": settings,
    "weights": optional(path),
    "pretrained": flag,
    "data_root": optional(path),
    "results": path,
    "device": text,
    "devices": texts("cuda:0"),
    "ray": optional(text),
    "per_device": number(1, MOST_PER_DEVICE),
    "amp": flag,
    "compile": flag,
    "threads": number(1),
    "jobs": optional(number(1, MOST_JOBS)),
    "workers": number(0, MOST_WORKERS),
    "limit": optional(number(LEAST_LIMIT)),
    "window": optional(text),
    "adapt": lambda name, value: parse_adapt(optional(text)(name, value)),
    "compute_matched": flag,
    "spaces": lambda name, value: parse_spaces(texts("quantized")(name, value)),
    "rerun": flag,
    "log": optional(text),
    "plugins": texts("mine.py", kinds=(str, Path)),
}
"""What each field of a request may be."""
