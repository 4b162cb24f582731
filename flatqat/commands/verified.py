"""What a verified file showed, printed: by family and on the worst shifts, codes, latency, the verdict."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from flatqat.bench.report.deployed import percentage
from flatqat.console.printable import printable
from flatqat.console.rounded import rounded, with_interval
from flatqat.console.terminal import plain_table, print_uncut, terminal
from flatqat.errors import counted
from flatqat.metrics.metric import METRICS
from flatqat.spec import Compared, Deployment, Exact, FileRun, Latency, Record
from flatqat.spec.reading import to_plain

if TYPE_CHECKING:
    from rich.console import Console

FORMATS = ("table", "json")
COLUMNS = ("set", "agree", "logits", "rel.", "cell", "file", "change [95%]")
MOST_SHIFTS = 5
LOGITS = (
    "agree: percentage of predictions that are the cell's, rounded down. logits: their largest difference; "
    "rel.: in units of the range of the cell's logits."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """The least percentage of all predictions that must agree, by graph optimization; None for any."""

    plain: float | None = None
    optimized: float | None = None

    def failing(self, found: Deployment) -> list[str]:
        """Return the names of the runs in which fewer agree."""
        wanted = asdict(self)
        agreements = {"plain": found.plain.all.agreement, "optimized": found.optimized.all.agreement}
        return [name for name, share in agreements.items() if share < (wanted[name] or 0)]

    def verdict(self, found: Deployment) -> str:
        """Return what was demanded and whether it holds, behind the verdict; empty if nothing was."""
        said = ((self.plain, "plain", ""), (self.optimized, "optimized", " with the graph optimized"))
        failing = self.failing(found)
        return "".join(
            f"; at least {least:g}%{where} demanded" + ": FAILED" * (name in failing)
            for least, name, where in said
            if least is not None
        )


ANY = Least()


def show_verified(record: Record, least: Least = ANY) -> None:
    """Print the outcome of verifying a record's file; the verdict stands last."""
    console, found = terminal(), deployed(record)

    def say(text: str, style: str | None = None, *, one_line: bool = False) -> None:
        as_it_is = one_line and not console.is_terminal  # for programs, which look at the last line
        console.print(printable(text), style=style, soft_wrap=as_it_is)

    say(f"{record.cell.label} of {record.cell.suite} · {found.file}", "bold")
    for title, run in (("graph optimization off", found.plain), ("graph optimization on", found.optimized)):
        say(title)
        _print_run(run, console)
        say(codes_line(run))
    for line in (*exact_lines(found.exact), control_line(found.control)):
        say(line)
    title = METRICS[record.protocol.metric].title
    say(f"{LOGITS} cell, file: {title} in percent, of families the mean over shifts.", "dim")
    for line in (*notes(record, found), *latency_lines(found.latency)):
        say(line)
    style = "bold red" if least.failing(found) else None
    say(f"{verdict(record, found)}{least.verdict(found)}", style, one_line=True)


def as_json(record: Record, least: Least = ANY) -> str:
    """Return the outcome of verifying a record's file as JSON."""
    found = deployed(record)
    gate = {
        "min_agreement": least.plain,
        "min_agreement_optimized": least.optimized,
        "passed": not least.failing(found),
    }
    cell = {"cell": record.cell.id, "label": record.cell.label, "suite": record.cell.suite}
    fields = {**cell, "metric": record.protocol.metric, **gate, **to_plain(found)}
    return json.dumps(fields, indent=2, allow_nan=False) + "\n"


def verdict(record: Record, found: Deployment) -> str:
    """Return in one line how often the file predicts what the cell predicts."""
    every, optimized = found.plain.all, found.optimized.all
    unit = "pixels" if record.protocol.metric == "miou" else "predictions"
    runtime = f"{found.runtime} {found.packages.get(found.runtime)}"
    return (
        f"{percentage(every.agreement, 3)}% of {every.predictions:,} {unit} agree in {runtime}, "
        f"{percentage(optimized.agreement, 3)}% with the graph optimized; the cell with itself "
        f"{percentage(found.control.all.agreement, 3)}%{_in_float64(found)}"
    )


def _in_float64(found: Deployment) -> str:
    """Return what float64 says of the difference: that it is rounding, or that it is a fault."""
    exact = found.exact
    if exact is None or exact.problem:
        return ""
    if exact.agreement < 100:
        return f"; float64 does not agree ({percentage(exact.agreement, 3)}%): more than the rounding of sums"
    if exact.codes is not None and exact.codes.differing:
        return "; in float64 codes differ: more than the rounding of sums"
    return "; float64 agrees" + ", so this is rounding" * (found.plain.all.agreement < 100)


def notes(record: Record, found: Deployment) -> list[str]:
    """Return what else to know of the comparison."""
    shifts, lines = len(found.plain.shifts), []
    if found.limit != record.cell.limit:
        lines.append(f"on {found.limit} images a set, fewer than the cell was scored on")
    elif found.moved:
        lines.append(
            f"the cell's own scores here differ from those of its record on {found.moved} of {shifts} sets: "
            f"it was computed on {record.env.device} with {counted(record.env.threads, 'thread')} and torch "
            f"{record.env.packages.get('torch')}, and now on {found.device} with "
            f"{counted(found.threads, 'thread')} and torch {found.packages.get('torch')}"
        )
    else:
        lines.append("the cell's own scores here are those of its record")
    return [*lines, *([f"{found.runtime}: {found.note}"] if found.note else [])]


def control_line(run: FileRun) -> str:
    """Return in one line what rounding alone changes in the cell: how far off a correct file may be."""
    every, codes = run.all, run.codes
    of_codes = (
        f"; {100 * codes.differing / codes.codes:.2g}% of codes differ" if codes and codes.codes else ""
    )
    return (
        "control, the cell against itself with each output of a layer moved by at most one float32 step: "
        f"{percentage(every.agreement, 3)}% of predictions agree; logits differ by up to "
        f"{_number(every.largest, '.2g')}{of_codes}. Rounding alone can make a correct file differ as much"
    )


def exact_lines(found: Exact | None) -> list[str]:
    """Return in one line what differs in float64, if that was computed."""
    if found is None:
        return []
    if found.problem:
        return [f"in float64: not compared, since it cannot be computed: {found.problem}"]
    assert found.codes is not None
    codes = f"{found.codes.differing or 'none'} of {found.codes.codes:,} codes differ"
    first = f", the first before {found.codes.first}" if found.codes.differing else ""
    return [
        f"in float64: {percentage(found.agreement, 3)}% of {found.predictions:,} predictions agree; logits "
        f"differ by up to {_number(found.largest, '.2g')}; {codes}{first} ({found.images} images)"
    ]


def codes_line(run: FileRun) -> str:
    """Return in one line how many codes differ."""
    if (codes := run.codes) is None:
        return "codes of inputs: not compared"
    if not codes.codes:
        return "codes of inputs: none to compare, all are in floating point or looked up in tables"
    share = f"{codes.differing:,} of {codes.codes:,} differ ({100 * codes.differing / codes.codes:.2g}%)"
    first = f", by at most {codes.largest}, the first before {codes.first}" if codes.differing else ""
    return f"codes of inputs: {share}{first}; {codes.layers} layers, {codes.images} images"


def latency_lines(found: Latency | None) -> list[str]:
    """Return how long an image takes, if that was measured."""
    if found is None:
        return []
    shape = "x".join(map(str, found.shape)) + " (per image)" * (found.shape[0] > 1)
    return [
        f"latency of {shape}, median [quartiles] of {found.runs} runs: file {found.median:.2f} "
        f"[{found.low:.2f}, {found.high:.2f}] ms; full precision in torch {found.float_median:.2f} "
        f"[{found.float_low:.2f}, {found.float_high:.2f}] ms"
    ]


def _print_run(run: FileRun, console: "Console") -> None:
    """Print a table of families, the mean over shifts, and the shifts that agree least."""
    worst = sorted((one.agreement, name) for name, one in run.shifts.items() if one.agreement < 100)
    named = {**run.families, "all sets, OOD": run.all}
    shown = [name for _, name in worst if name not in named][:MOST_SHIFTS]
    texts = [(name, *_texts(one)) for name, one in named.items()]
    texts += [(name, *_texts(run.shifts[name])) for name in shown]
    table = plain_table(*COLUMNS, left=("set",), wrapped=())
    for number, row in enumerate(texts):
        if number == len(named):
            table.add_section()
        table.add_row(*row)
    print_uncut(table, console)


def _texts(one: Compared) -> tuple[str, ...]:
    change = "-" if one.change is None else rounded(one.change, "+.2f")
    if one.change is not None and one.low is not None and one.high is not None:
        change = with_interval(one.change, one.low, one.high, "+.2f")
    return (
        percentage(one.agreement),
        _number(one.largest, ".2g"),
        _number(one.relative, ".1g"),
        _number(one.cell, ".2f"),
        _number(one.file, ".2f"),
        change,
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def deployed(record: Record) -> Deployment:
    """Return what verifying found, of a record that was verified."""
    assert record.deployed is not None
    return record.deployed
