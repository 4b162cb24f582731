"""Sweep anchor-QAT's settings beside plain QAT, several processes at a time; sort by the ID validation set.

    python scripts/anchor_defaults.py RESULTS JOBS -- --suite cifar10-c-live --model cifar:resnet20 ...

Everything after `--` goes to each `flatqat bench run`. Test sets and shifts are stored too, but only `val`
may choose.
"""

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flatqat.bench.report import frame, load
from flatqat.bench.store import Store

VARIANTS: list[dict[str, object]] = [
    *(
        {"coupling": "ema", "strength": strength, "beta": beta, "deploy": deploy}
        for strength, beta, deploy in itertools.product((0.01, 0.1, 1.0), (0.005, 0.02), ("anchor", "latent"))
    ),
    *(
        {"coupling": "elastic", "strength": strength, "beta": 0.02, "deploy": deploy}
        for strength, deploy in itertools.product((0.01, 0.1, 1.0), ("anchor", "latent"))
    ),
    *({"coupling": "dampen", "strength": strength, "deploy": "latent"} for strength in (0.001, 0.01, 0.1)),
]


def main() -> int:
    """Run every variant, then print the tables."""
    results, jobs, _, *options = sys.argv[1:]
    commands = [["--method", "fp,ptq,qat"]]
    for variant in VARIANTS:
        settings = [part for key, value in variant.items() for part in ("--set", f"anchor.{key}={value}")]
        commands.append(["--method", "anchor", *settings])

    def run(command: list[str]) -> int:
        full = [sys.executable, "-m", "flatqat", "bench", "run", "--results", results, *options, *command]
        done = subprocess.run(full, capture_output=True, text=True)
        if done.returncode:
            print(" ".join(command), done.stderr[-2000:], file=sys.stderr, flush=True)
        return done.returncode

    with ThreadPoolExecutor(int(jobs)) as pool:
        codes = list(pool.map(run, commands))
    store = Store(Path(results))
    columns = [
        "method",
        "bits",
        "seeds",
        "val_top1",
        "id_top1",
        "ood_top1",
        "ood_top1_stderr",
        "lambda_max",
        "sharpness",
    ]
    for section in load(store, None):
        table = frame(section, store, "method")[columns].sort_values(
            ["bits", "val_top1"], ascending=[True, False]
        )
        print(section.title, table.round(3).to_string(index=False), sep="\n")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
