"""Run the parts of the second study that are planned in docs/study-2-plan.md.

    python scripts/study_2.py DATA WEIGHTS RESULTS PART [SEEDS] [-- OPTIONS]

PART is one of those below. DATA holds CIFAR-10, WEIGHTS is cifar10_resnet20.safetensors; OPTIONS go to every
`flatqat bench run`, such as `--device cuda` or `--jobs 4`. What is stored in RESULTS is not run again, and
every seed is finished before the next one begins. The committed records are a small copy:

    flatqat results compact RESULTS --into results/study-2
"""

import subprocess
import sys

SUITE = ["--suite", "cifar10-c-live-135", "--model", "cifar:resnet20", "--recipe", "smoke"]
TRAINED = [*SUITE, "--set", "recipe.steps=400", "--limit", "2000"]
PARTS: dict[str, tuple[str, list[list[str]]]] = {
    "contrast": ("0,1,2,3,4,5,6,7", [["--method", "qat,anchor", "--bits", "4,3,2", "--no-flatness"]]),
    "reference": ("0,1,2,3,4,5,6,7", [["--method", "fp", "--bits", "fp", "--no-flatness"]]),
    "adapted": (
        "0,1,2",
        [
            ["--method", "fp,qat", "--bits", "4,3,2", "--adapt", adapt, "--no-flatness"]
            for adapt in ("bn", "bn+steps")
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
    if len(given) not in (4, 5) or given[3] not in PARTS:
        print(f"{__doc__}\nPARTs: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    data, weights, results, part = given[:4]
    planned, runs = PARTS[part]
    paths = ["--data-root", data, "--weights", weights, "--results", results]
    codes = []
    for seed in (given[4] if len(given) > 4 else planned).split(","):
        for run in runs:
            command = [sys.executable, "-m", "flatqat", "bench", "run", *TRAINED, *run]
            codes.append(subprocess.run([*command, "--seeds", f"{seed},", *paths, *options]).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
