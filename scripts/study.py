"""Run the study of docs/study.md: which methods win under shift, and does flatness correlate with OOD?

    python scripts/study.py DATA WEIGHTS RESULTS [-- OPTIONS]

ResNet-20 with LSQ at 4 and 3 bits on CIFAR-10, three paired seeds: qat, ema, lookahead, sam, six variants of
anchor-QAT, and full precision, each evaluated on 19 corruptions made live and measured in two spaces. DATA
holds CIFAR-10, WEIGHTS is a file of start weights; OPTIONS go to every `flatqat bench run`, such as
`--device cuda` or `--dry-run`. What is stored in RESULTS is not run again. The committed study was run with

    -- --recipe smoke --limit 400 --set recipe.steps=100 --set recipe.flatness_images=64

The strength of each coupling was chosen on `val` (scripts/anchor_defaults.py, at 150 steps; its table is
results/first-study/anchor-settings.csv): the best mean over both bit-widths and both ways to deploy. Then the
page is written:

    flatqat bench report --format study --results RESULTS --output docs/study.md
"""

import itertools
import subprocess
import sys

COMMON = ["--suite", "cifar10-c-live", "--model", "cifar:resnet20", "--bits", "4,3", "--seeds", "3"]
SPACES = ["--space", "quantized,latent"]
STRENGTHS, DEPLOYS = {"ema": "0.1", "elastic": "0.1", "dampen": "0.001"}, ("anchor", "latent")


def runs() -> list[list[str]]:
    """The options that differ between the commands."""
    variants = []
    for (coupling, strength), deploy in itertools.product(STRENGTHS.items(), DEPLOYS):
        settings = {"coupling": coupling, "strength": strength, "deploy": deploy}
        texts = [text for key, value in settings.items() for text in ("--set", f"anchor.{key}={value}")]
        variants.append(["--method", "anchor", *texts])
    return [["--method", "fp,qat,ema,lookahead,sam"], *variants]


def main() -> int:
    """Run every command; 1 if one of them failed."""
    if len(sys.argv) < 4 or sys.argv[4:5] not in ([], ["--"]):
        print(__doc__, file=sys.stderr)
        return 2
    data, weights, results = sys.argv[1:4]
    paths = ["--data-root", data, "--weights", weights, "--results", results]
    codes = []
    for options in runs():
        command = [sys.executable, "-m", "flatqat", "bench", "run"]
        command += [
            *COMMON,
            *([] if "--no-flatness" in sys.argv[5:] else SPACES),
            *options,
            *paths,
            *sys.argv[5:],
        ]
        codes.append(subprocess.run(command).returncode)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
