"""What commands cost before they do anything.

CPU time of whole processes, in units of that of a hello world of Typer, which flatqat is written with. The
report is one of three cells.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from perf.rounds import Call, Row, children_time, row, turns

RESULTS = Path(__file__).parents[1] / "results" / "first-look"
GOALS = {"--help": "≤ 1.3", "suites list": "≤ 2.0", "bench report": "≤ 4"}
UNIT = "hello world"
HELLO = """
import typer

app = typer.Typer()

@app.command()
def main() -> None:
    typer.echo("Hello")

app()
"""


def rows(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        hello, results = Path(folder) / "hello.py", Path(folder) / "results"
        hello.write_text(HELLO)
        three_cells(results)
        calls: dict[str, Call] = {UNIT: partial(run, [str(hello)])}
        for title in GOALS:
            options = ["--results", str(results)] if title == "bench report" else []
            calls[title] = partial(run, ["-m", "flatqat", *title.split(), *options])
        times = turns(calls, rounds, clock=children_time, shortest=0)
    return [
        row(f"`flatqat {title}` / {UNIT}", times, title, UNIT, goal=goal) for title, goal in GOALS.items()
    ]


def three_cells(to: Path) -> None:
    """Copy seed 0 of the three methods of results/first-look."""
    (to / "records" / "digits-c").mkdir(parents=True)
    shutil.copytree(RESULTS / "data", to / "data")
    for file in (RESULTS / "records" / "digits-c").glob("*-s0-*"):
        shutil.copy(file, to / "records" / "digits-c")


def run(words: Sequence[str]) -> None:
    """Run Python with these words to its end."""
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
