"""Run the parts of the second study (docs/study-2-plan.md).

    python -m scripts.study_2.run PART DATA WEIGHTS RESULTS [SEEDS] [-- OPTIONS]

PART is one of those below, DATA holds the images, and WEIGHTS is the file that networks start from:
cifar10_resnet20.safetensors, or tf_efficientnet_lite0.safetensors for `network`, `shapes`, `pacs-search` and
`pacs`. OPTIONS go to every `flatqat bench run`, such as `--jobs 4`, `--dry-run`. What `dual-search` chose on
`val` is an option, too: `--set anchor.strength=S` for `dual`; `pacs` takes what `pacs-search` chose. A part
may take days: --suite, --method and --bits choose some of its cells, and `--method fp` needs no bits:

    python -m scripts.study_2.run pacs DATA WEIGHTS RESULTS 0 -- --suite pacs@photo --method qat --bits w7a32

What is stored in RESULTS is not run again, and every seed is finished before the next one begins. The
committed records are a small copy:

    flatqat results compact RESULTS --into results/study-2
"""

import argparse
import subprocess
import sys
from pathlib import Path

from flatqat.bench.records.store import Store
from scripts.study_2 import pacs_search

SUITE = ["--suite", "cifar10-c-live-135", "--model", "cifar:resnet20", "--recipe", "smoke"]
TRAINED = [*SUITE, "--set", "recipe.steps=400", "--limit", "2000", "--no-flatness"]
LOW = ["--bits", "4,3,2"]
CLIP = ["--plugin", "scripts/clip.py"]

RATES, DECAYS = ["--set", "recipe.lr=0.003,0.01,0.03"], ["--set", "recipe.weight_decay=0.0001,0.001"]
GRID = [*SUITE, "--set", "recipe.steps=100", "--limit", "2000", "--bits", "3", *RATES, *DECAYS]
PLAIN = "qat,ema,lookahead,swad,asam,gsam,sagm,saq,dampen,freeze,gaqat,fqat"

DUAL = ["--method", "anchor", "--set", "anchor.coupling=dual"]
LITE0 = ["--model", "timm:tf_efficientnet_lite0", "--no-flatness"]
ROUNDED = ["--recipe", "eval", "--method", "fp,ptq"]

FASTER = ["--set", "recipe.channels_last=true"]
PACS_RECIPE = ("optimizer=sgd", "schedule=cosine", "batch_size=48", "image_size=96", "select_every=0")
PACS = [*LITE0, *FASTER, *(f"--set=recipe.{setting}" for setting in PACS_RECIPE)]
RATES_OF_PACS = ["--set", "recipe.lr=0.001,0.003,0.01,0.03", "--set", "recipe.steps=300,600"]
FROZEN = ["--plugin", "scripts/frozen_convolutions.py", "--method", "frozen-convolutions"]

PARTS: dict[str, tuple[str, list[list[str]]]] = {
    "contrast": ("0,1,2,3,4,5,6,7", [[*TRAINED, "--method", "qat,anchor", *LOW]]),
    "reference": ("0,1,2,3,4,5,6,7", [[*TRAINED, "--method", "fp", "--bits", "fp"]]),
    "controls": (
        "0,1,2,3",
        [
            [*TRAINED, "--method", "ema", *LOW],
            [*TRAINED, "--method", "qat,sam", "--compute-matched", *LOW],
            [*TRAINED, "--method", "anchor", "--set", "anchor.deploy=latent", *LOW],
        ],
    ),
    "profile": (
        "0,1,2,3",
        [
            [*TRAINED, "--method", "ptq", "--bits", "4,3,w3a32,w32a3,w8a3"],
            [*TRAINED, "--method", "qat", "--bits", "w3a32,w32a3,w8a3"],
            [*TRAINED, "--method", "qat", "--bits", "w32a3@clip", *CLIP],
        ],
    ),
    "dual-search": (
        "100",
        [[*TRAINED, *DUAL, "--set", "anchor.strength=0.01,0.1,1", "--bits", "3"]],
    ),
    "dual": ("0,1,2,3", [[*TRAINED, *DUAL, *LOW]]),
    "network": (
        "0",
        [[*LITE0, *ROUNDED, *FASTER, "--suite", "imagenet-c-live", "--bits", "8,6,4,w4a32,w32a4"]],
    ),
    "shapes": ("0", [[*LITE0, *ROUNDED, "--suite", "shape-16", "--bits", "8,6,4"]]),
    "pacs-search": ("100", [["--suite", "pacs@photo", *PACS, *RATES_OF_PACS, "--method", "fp"]]),
    "pacs": (
        "0,1,2",
        [
            ["--suite", "pacs", *PACS, "--method", "fp,qat,anchor,sagm,swad", "--bits", "w7a32,4,3"],
            ["--suite", "pacs", *PACS, *FROZEN, "--bits", "fp,w7a32"],
        ],
    ),
    "adapted": (
        "0,1,2",
        [[*TRAINED, "--method", "fp,qat", *LOW, "--adapt", adapt] for adapt in ("bn", "bn+steps")],
    ),
    "flatness": (
        "0",
        [
            [*GRID, "--method", PLAIN],
            [*GRID, "--method", "sam", "--set", "sam.rho=0.02,0.05,0.1,0.2"],
            [*GRID, "--method", "anchor", "--set", "anchor.strength=0.03,0.1,0.3,1"],
        ],
    ),
}
"""By name the seeds of a part, and the options that make its cells."""


def chosen(runs: list[list[str]], option: str, wanted: list[str]) -> list[list[str]]:
    """Return what commands run of the values that are wanted of an option; `pacs@photo` is one of `pacs`.

    Raises ValueError if no command has one of them.
    """
    found, unknown = [], set(wanted)
    for run in runs:
        place = run.index(option) + 1 if option in run else 0
        values = run[place].split(",") if place else []
        families = values if option == "--suite" else ()
        kept = [one for one in wanted if one in values or one.partition("@")[0] in families]
        unknown -= set(kept)
        if kept:
            found.append([*run[:place], ",".join(kept), *run[place + 1 :]])
    if unknown:
        raise ValueError(f"expected {option} to choose among the cells of the part, got {sorted(unknown)}")
    return found


def main() -> int:
    """Run the commands of a part; 1 if one of them failed."""
    given, options = sys.argv[1:], []
    if "--" in given:
        place = given.index("--")
        given, options = given[:place], given[place + 1 :]
    if len(given) not in (4, 5) or given[0] not in PARTS:
        print(f"{__doc__}\nPARTs: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    part, data, weights, results = given[:4]
    if part == "pacs":
        settings = pacs_search.chosen(Store(Path(results)))
        if settings is None:
            print(f"pacs: expected all runs of pacs-search in {results}, got fewer", file=sys.stderr)
            return 2
        options += [f"--set=recipe.{name}={value}" for name, value in settings if name in ("lr", "steps")]
    planned, runs = PARTS[part]
    choosing = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--suite", "--method", "--bits"):
        choosing.add_argument(option)
    wanted, options = choosing.parse_known_args(options)
    try:
        for name, values in vars(wanted).items():
            runs = chosen(runs, f"--{name}", values.split(",")) if values else runs
    except ValueError as error:
        print(f"{part}: {error}", file=sys.stderr)
        return 2
    paths = ["--data-root", data, "--weights", weights, "--results", results]
    codes = []
    for seed in (given[4] if len(given) > 4 else planned).split(","):
        for run in runs:
            command = [sys.executable, "-m", "flatqat", "bench", "run", *run, "--seeds", f"{seed},"]
            codes.append(subprocess.run([*command, *paths, *options]).returncode)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
