"""Measure the speed of flatqat beside its peers, print the tables and write docs/speed.md.

Every topic runs in a fresh interpreter, because the allocator's settings and threads belong to a process.
What was measured is kept in perf/measured.json, from which the page is written: with --only the other topics
stay as they are.
"""

import argparse
import importlib
import json
import platform
import subprocess
import sys
import time
import warnings
from dataclasses import asdict
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from perf.page import Topic, page, table
from perf.rounds import Row, prepare

ROOT = Path(__file__).parent.parent
MEASURED, PAGE = ROOT / "perf" / "measured.json", ROOT / "docs" / "speed.md"
TOPICS = {  # and the turns of each variant: fewer where they are long, one where nothing wanders
    "training": 7,
    "cuda": 9,
    "memory": 1,
    "kernels": 1,
    "methods": 9,
    "layout": 7,
    "rounding": 5,
    "flatness": 3,
    "inference": 7,
    "corruptions": 5,
    "loader": 9,
    "live": 1,
    "one_pass": 3,
    "stages": 1,
    "jobs": 1,
    "startup": 9,
    "reports": 3,
}
PEERS = ("brevitas", "pyhessian", "curvlinops-for-pytorch", "imagecorruptions-imaug", "simplejpeg")
QUICK = 2


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=TOPICS, default=list(TOPICS), metavar="TOPIC", help=", ".join(TOPICS)
    )
    parser.add_argument("--rounds", type=int, help="turns of each variant; each topic has a default")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds, and nothing is written")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)  # the rows of one topic
    args = parser.parse_args()
    if args.json:
        print(json.dumps([asdict(row) for row in _rows(args.only[0], args.rounds)]))
        return 0
    failed = 0
    known = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    for name in args.only:
        rounds, began = args.rounds or min(TOPICS[name], QUICK if args.quick else 99), time.perf_counter()
        topic = _measured(name, rounds)
        if topic is None:
            failed += 1
            continue
        print(f"\n{topic.about.strip()}\n\n{table(topic.rows)}")
        print(
            f"{name}: {time.perf_counter() - began:.0f} s for {rounds} round{'s' * (rounds > 1)}", flush=True
        )
        known[name] = topic.as_dict()
        if not args.quick:
            _write(known)
    return 1 if failed else 0


def _write(known: dict[str, object]) -> None:
    ordered = {name: known[name] for name in TOPICS if name in known}
    MEASURED.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page([Topic.from_dict(topic) for topic in ordered.values()]))


def _measured(name: str, rounds: int) -> Topic | None:
    """Measure a topic in an interpreter of its own; None, with its errors on stderr, if that fails."""
    command = [sys.executable, "-m", "perf", "--json", "--only", name, "--rounds", str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode:
        print(f"{name}: failed with exit code {done.returncode}", file=sys.stderr)
        return None
    rows = json.loads(done.stdout.splitlines()[-1])
    about = importlib.import_module(f"perf.{name}").__doc__
    return Topic.from_dict({"about": about, "measured": _machine(), "rounds": rounds, "rows": rows})


def _rows(name: str, rounds: int) -> list[Row]:
    warnings.simplefilter("ignore")  # those of peers
    prepare()
    return importlib.import_module(f"perf.{name}").rows(rounds)


def _machine() -> str:
    """Return the processor, versions and date."""
    packages = ("torch", "numpy", "pillow", *PEERS)
    versions = [f"{name} {found}" for name in packages if (found := _version(name))]
    return f"{_processor()}, Python {platform.python_version()}, {', '.join(versions)}, on {date.today()}"


def _processor() -> str:
    """Return the processor with the extensions that decide about speed, as Linux names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    telling = [
        flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in facts.get("flags", "").split()
    ]
    return f"{facts.get('model name', platform.machine())} with {' and '.join(telling) or 'no AVX-512'}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
