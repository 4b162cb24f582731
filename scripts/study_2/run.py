"""Run the parts of the second study (docs/study-2-plan.md) on CIFAR-10.

    python -m scripts.study_2.run PART DATA WEIGHTS RESULTS [SEEDS] [-- OPTIONS]

PART is one of those below. DATA holds CIFAR-10, WEIGHTS is cifar10_resnet20.safetensors; OPTIONS go to every
`flatqat bench run`, such as `--jobs 4` or `--dry-run`. What is stored in RESULTS is not run again, and every
seed is finished before the next one begins. `coupling=dual`, whose strength is chosen first, and the networks
that are pretrained on ImageNet are not among the parts yet. The committed records are a small copy:

    flatqat results compact RESULTS --into results/study-2
"""

import subprocess
import sys

SUITE = ["--suite", "cifar10-c-live-135", "--model", "cifar:resnet20", "--recipe", "smoke"]
TRAINED = [*SUITE, "--set", "recipe.steps=400", "--limit", "2000", "--no-flatness"]
LOW = ["--bits", "4,3,2"]
CLIP = ["--plugin", "scripts/clip.py"]

RATES, DECAYS = ["--set", "recipe.lr=0.003,0.01,0.03"], ["--set", "recipe.weight_decay=0.0001,0.001"]
GRID = [*SUITE, "--set", "recipe.steps=100", "--limit", "500", "--bits", "3", *RATES, *DECAYS]
PLAIN = "qat,ema,lookahead,swad,asam,gsam,sagm,saq,dampen,freeze,gaqat,fqat"

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


def main() -> int:
    """Run the commands of a part; the highest of their exit codes."""
    given, options = sys.argv[1:], []
    if "--" in given:
        place = given.index("--")
        given, options = given[:place], given[place + 1 :]
    if len(given) not in (4, 5) or given[0] not in PARTS:
        print(f"{__doc__}\nPARTs: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    part, data, weights, results = given[:4]
    planned, runs = PARTS[part]
    paths = ["--data-root", data, "--weights", weights, "--results", results]
    codes = []
    for seed in (given[4] if len(given) > 4 else planned).split(","):
        for run in runs:
            command = [sys.executable, "-m", "flatqat", "bench", "run", *run, "--seeds", f"{seed},"]
            codes.append(subprocess.run([*command, *paths, *options]).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
