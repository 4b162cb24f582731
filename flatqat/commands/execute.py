"""What a command does between its options and its exit code: device, progress, printing."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.plan.request import Request, lacking_spaces
from flatqat.bench.records.files import write_output
from flatqat.bench.records.named import results_option
from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.revisions import with_revisions
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import load, render, show
from flatqat.commands.report_options import ReportOptions
from flatqat.commands.written import baseline_line, say_written
from flatqat.console.progress import progress_for, seconds
from flatqat.console.terminal import plain_table, terminal
from flatqat.errors import counted
from flatqat.exit_codes import INCOMPLETE, INTERRUPTED, MISTAKE, OK, WRONG
from flatqat.spec import Record

if TYPE_CHECKING:
    from flatqat.bench.cell.session import Lack
    from flatqat.bench.engine.troubles import Troubles
    from flatqat.bench.plan.jobs import Job, Plan
    from flatqat.bench.ranks.ranks import Ranks

FEW = 3


def execute(
    plan: "Plan",
    *,
    all_revisions: bool = False,
    baseline: Path | None = None,
    ranks: "Ranks | None" = None,
) -> int:
    """Run a plan and print its table; 0, or 3 when a cell failed, was skipped or lacks flatness.

    Its finished cells become the file `baseline`, if any. With `ranks`, this process leads them.
    """
    from flatqat.bench.cell.session import Session
    from flatqat.bench.engine.run import run

    request, errors = plan.request, terminal(stderr=True)
    session = Session.open(request, progress_for(errors))
    try:
        records = run(plan, session, ranks)
    except KeyboardInterrupt:
        again = "starts over, since --rerun forgets what is stored" if request.rerun else "resumes here"
        errors.print(f"interrupted; the same command {again}")
        return INTERRUPTED
    shown = sections(with_revisions(records, session.store), all_revisions=all_revisions)
    show(shown, session.store, "method", terminal())
    stored = f"stored in {request.results}; next: {next_command(request, records)}"
    errors.print(stored, style="dim", soft_wrap=True)
    if baseline and any(record.status == "done" for record in records):
        count, _ = write_baseline(session.store, baseline, records)
        errors.print(baseline_line(baseline, count), soft_wrap=True)
    complete = (r.status == "done" and not lacking_spaces(r.cell, r.flatness, request) for r in records)
    return OK if all(complete) else INCOMPLETE


def next_command(request: Request, records: Iterable[Record]) -> str:
    """Return the command that shows more of a run's records, whatever else their results folder holds."""
    report = f"flatqat bench report{results_option(request.results)}"
    has_classes = any(r.status == "done" and metric_of(r).by_class for r in records)
    if has_classes and len(request.suites) == 1:
        return f"{report} --suite {quote(request.suites[0])} --by class"  # refused with suites of other tasks
    return f"{report} --by family"


def dry(plan: "Plan") -> int:
    """Print the cells, the state of the data and an estimate of the time.

    Returns 0, 2 when data is missing, or 3 when a cell would fail or be skipped. Raises what stops a
    run before it computes anything, and writes nothing.
    """
    from flatqat.bench.cell.session import Session
    from flatqat.bench.engine.auto_jobs import processes
    from flatqat.bench.engine.estimate import estimate, time_steps
    from flatqat.bench.engine.preflight import dry_preflight
    from flatqat.bench.engine.troubles import Troubles
    from flatqat.bench.sinks.named import check_sink

    console = terminal()
    check_sink(plan.request.log)
    session = Session.open(plan.request, progress_for(terminal(stderr=True)))
    todo, troubles = session.lacking(plan), Troubles(session.progress)
    missing = dry_preflight(todo, plan, session, troubles)
    timed = time_steps(todo, session, troubles) if todo and not missing else {}
    for job in plan.jobs:
        console.print(_state(job, todo, troubles))
    for line in missing:
        console.print(f"missing    {line}", soft_wrap=True)
    left = [lack for lack in todo if not troubles.get(lack.job)]
    if left and not missing:
        count = processes(left, session)
        where = f"{session.device}{f', in {count} processes' * (count > 1)}"
        console.print(f"about {seconds(estimate(left, session, timed, count))} on {where}")
    is_whole = len(left) == len(todo) and not any(job.skip for job in plan.scored())
    return MISTAKE if missing else OK if is_whole else INCOMPLETE


def _state(job: "Job", todo: "Sequence[Lack]", troubles: "Troubles") -> str:
    """Return a line about a job: whether it is to run, and why not."""
    is_left = any(lack.job is job for lack in todo)
    state, reason = "to run" if is_left else "stored" if job.scored else "not needed", job.skip
    if trouble := troubles.get(job):
        state, reason = "would fail" if trouble.status == "failed" else "skipped", trouble.reason
    elif reason:
        state = "skipped"
    settings = ", ".join(f"{key}={value}" for key, value in job.cell.method_args)
    notes = [f"  ({reason})"] if reason else []
    notes += [f"  ({settings})"] if settings else []
    notes += [] if job.scored else ["  (parent of others: trained, not scored)"]
    return f"{state:<10} {job.cell.label}{''.join(notes)}"


def report(suite: str | None, options: ReportOptions) -> None:
    """Print or write the report, or a picture. Raises UsageError on an unknown picture."""
    store, form, output = Store(options.results), options.format, options.output
    stored = partial(load, store, suite, all_revisions=options.all_revisions, choice=options.choice)
    if options.plot is not None:
        from flatqat.bench.report.pictures import check_picture, write_picture

        output = check_picture(options.plot, output)
        write_picture(options.plot, stored(), store, output)
        say_written(output)
        return
    pack = options.pack()
    text = partial(
        render,
        store,
        suite,
        view=options.view,
        against=options.compared_with,
        columns=options.columns,
        all_revisions=options.all_revisions,
        choice=options.choice,
        pack=pack,
    )
    if output is None and form == "table":
        show(stored(), store, options.view, terminal(), options.columns, pack)
    elif output is None:
        terminal().file.write(text(form=form))
    elif form == "study":
        from flatqat.bench.study.page import write_study

        write_study(stored(), store, options.compared_with, output)
    else:
        write_output(output, text(form="md" if form == "table" else form).encode())
    if output is not None:
        say_written(output)


def check_figures(models: tuple[str, ...], request: Request) -> int:
    """Print published figures and those measured here; 0, 1 if one is off, 3 if none could be checked."""
    from flatqat.bench.cell.session import Session
    from flatqat.bench.engine.canary import canary, figures
    from flatqat.data.images.data_root import data_root
    from flatqat.models.checkpoint import file_of

    if request.weights:
        file_of(request.weights)  # raises if there is none
    if request.data_root:
        data_root(request.data_root, "datasets")  # raises if that is not a folder
    console = terminal()
    checks = canary(figures(models), Session.open(request, progress_for(terminal(stderr=True))))
    columns = ("model", "figure", "published", "here", "±", "images", "verdict")
    table = plain_table(*columns, left=("model", "figure", "verdict"))
    for c in checks:
        if c.ours is not None:
            numbers = (f"{c.figure.value:.2f}", f"{c.ours:.2f}", f"{c.tolerance:.2f}", f"{c.n:,}")
            table.add_row(c.figure.model, c.figure.title, *numbers, c.verdict)
    if table.row_count:
        console.print(table)
    for reason in dict.fromkeys(c.reason for c in checks if c.reason):
        left = [c.figure for c in checks if c.reason == reason]
        count = counted(len(left), "figure")
        text = f"{count} of {_some(f.model for f in left)} ({_some(f.title for f in left)})"
        console.print(f"not checked: {text}: {reason}", soft_wrap=True)
    verdicts = [c.verdict for c in checks]
    counts = (f"{verdicts.count(v)} {v}" for v in ("ok", "OFF", "not checked"))
    console.print(", ".join(counts))
    return WRONG if "OFF" in verdicts else OK if "ok" in verdicts else INCOMPLETE


def _some(names: Iterable[str]) -> str:
    """The first few different ones."""
    different = list(dict.fromkeys(names))
    return ", ".join(different[:FEW]) + " ..." * (len(different) > FEW)
