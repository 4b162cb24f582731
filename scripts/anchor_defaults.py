"""Sweep anchor-QAT's settings beside plain QAT, ranked on `val`, which is in-distribution.

No test image is read.

    python scripts/anchor_defaults.py --suite cifar10-c-live --weights FILE --data-root DIR --bits 4,3 \
        --recipe smoke --results DIR --table FILE.csv

Started again it goes on where it stopped, and several may share a results folder, each with bits of its own.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from flatqat.bench.cell.session import Session
from flatqat.bench.engine.together import Together
from flatqat.bench.engine.train import train
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request, parse_seeds
from flatqat.console.progress import progress_for
from flatqat.console.terminal import terminal

STRENGTHS = {"ema": (0.01, 0.1, 1.0), "elastic": (0.01, 0.1, 1.0), "dampen": (0.001, 0.01, 0.1)}

VARIANTS: list[dict[str, object]] = [
    {"coupling": coupling, "strength": strength, "deploy": deploy}
    for coupling, strengths in STRENGTHS.items()
    for strength in strengths
    for deploy in ("anchor", "latent")
]


def main() -> None:
    """Train every variant, score it on all of `val`, and write the table, the best first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("suite", "bits", "recipe", "seeds"):
        parser.add_argument(f"--{name}", required=name != "seeds", default="1")
    for name in ("weights", "data-root", "results", "table"):
        parser.add_argument(f"--{name}", required=name in ("results", "table"), type=Path)
    given = parser.parse_args()
    rows = []
    settings = [{key: str(value) for key, value in variant.items()} for variant in VARIANTS]
    for method, chosen in (("qat", {}), *(("anchor", one) for one in settings)):
        request = Request(
            suites=(given.suite,),
            methods=(method,),
            bits=tuple(given.bits.split(",")),
            seeds=parse_seeds(given.seeds),
            recipe=given.recipe,
            settings={method: chosen},
            weights=given.weights,
            data_root=given.data_root,
            results=given.results,
        )
        rows += measured(request)
    found = pd.DataFrame(rows).sort_values(["bits", "top1"], ascending=[True, False])
    found.to_csv(given.table, index=False, float_format="%.6g")
    print(found.to_string(index=False))


def measured(request: Request) -> list[dict[str, Any]]:
    """A row a job: its settings, and its top-1 and NLL on `val`."""
    plan, session = make_plan(request), Session.open(request, progress_for(terminal(stderr=True)))
    rows = []
    for job in plan.jobs:
        train(job, session)
        if job.scored:
            val = job.suite.scored[0]
            together = Together([job], session, Troubles(session.progress))
            together.restore()
            together.score([val])
            scores, *_ = session.store.read_scores(job.cell, val.name)
            found = {name: scores[name].value for name in ("top1", "nll")}
            settings = request.settings.get(job.cell.method, {})
            rows.append(
                {"method": job.cell.method, "bits": job.cell.bits, "seed": job.cell.seed, **settings, **found}
            )
    return rows


if __name__ == "__main__":
    main()
