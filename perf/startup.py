"""What commands cost before they do anything, as ratios to a hello world of Typer.

    python perf/startup.py [--rounds 7]

CPU time of whole processes, all in turns: a ratio is that of one round, and the machine's load is in both.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results" / "first-look"
HELLO = """
import typer

app = typer.Typer()

@app.command()
def main() -> None:
    typer.echo("Hello")

app()
"""


def ratios(rounds: int) -> dict[str, list[float]]:
    """Return the CPU time of each command over that of the hello world, round by round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hello, results = folder / "hello.py", folder / "results"
        hello.write_text(HELLO)
        three_cells(results)
        commands = {
            "--help": ["--help"],
            "suites list": ["suites", "list"],
            "bench report": ["bench", "report", "--results", str(results)],
        }
        found: dict[str, list[float]] = {title: [] for title in commands}
        for _ in range(rounds + 1):
            base = seconds([str(hello)])
            for title, words in commands.items():
                found[title].append(seconds(["-m", "flatqat", *words]) / base)
    return {title: values[1:] for title, values in found.items()}  # the first round reads from the disk


def three_cells(to: Path) -> None:
    """Copy seed 0 of the three methods of results/first-look."""
    (to / "records" / "digits-c").mkdir(parents=True)
    shutil.copytree(RESULTS / "data", to / "data")
    for file in (RESULTS / "records" / "digits-c").glob("*-s0-*"):
        shutil.copy(file, to / "records" / "digits-c")


def seconds(words: Sequence[str]) -> float:
    """Return the CPU time of Python with these words, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    for title, values in ratios(parser.parse_args().rounds).items():
        print(f"{title:14} {statistics.median(values):5.2f}   ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
