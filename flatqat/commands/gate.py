"""`flatqat bench baseline`, `check` and `canary`: compare results with stored ones and published ones."""

from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.arguments import input_file
from flatqat.commands.of_results import DataRoot, Device, Limit, Results, Threads, Workers
from flatqat.commands.options import DEFAULT_WORKERS, Names, flag, option, refuse, split
from flatqat.errors import UsageError


def baseline(
    output: Annotated[Path, option("FILE", "Baseline file to write.", "--output", "-o")],
    results: Results = Path("results"),
) -> None:
    """Write a baseline: the file that `bench check` compares with.

    It holds every finished cell of the results folder: the outcome of every image, its seed, what it was made
    from and where it was computed.

    \b
    Example:
      flatqat bench baseline --output baselines/main.json
    """
    from flatqat.bench.gate.baseline import write_baseline
    from flatqat.bench.records.store import Store
    from flatqat.commands.written import baseline_line, check_output
    from flatqat.console.printable import printable

    check_output("--output", output, results)
    store = Store(results)
    count, others = write_baseline(store, output)
    typer.echo(baseline_line(output, count))
    for record in others:
        why = f"{record.status} {record.reason}".rstrip()
        if record.status == "done":
            lacking = store.outcomes_path(record.cell)
            why = f"expected its outcomes in {lacking}, got none; restore the file, or run the cell again"
        typer.echo(printable(f"not in it: {record.cell.label}: {why}"))


def check(
    context: typer.Context,
    baseline: Annotated[
        Path, option("FILE", "File written by `flatqat bench baseline`.", callback=input_file)
    ],
    results: Results = Path("results"),
    max_drop: Annotated[float, option("POINTS", "Tolerated drop, in points of top-1 or mIoU.", min=0)] = 0.5,
    p: Annotated[
        float, option("P", "Significance level after Holm's correction, above 0 and below 1.")
    ] = 0.01,
    retraining_sd: Annotated[
        float,
        option("POINTS", "Standard deviation of a retraining, where both sides have a single seed.", min=0),
    ] = 0.75,
    evaluation_only: Annotated[
        bool, flag("--evaluation-only", "Demand the same weights on both sides, and test over images alone.")
    ] = False,
    two_sided: Annotated[bool, flag("--two-sided", "Trip the gate on improvements, too.")] = False,
    only_changed: Annotated[bool, flag("--only-changed", "Hide rows that are fine.")] = False,
    only: Annotated[
        list[str] | None,
        option("PATTERN", "Check only these cells or rows, such as 'qat*' or ood; repeated: any of them."),
    ] = None,
    form: Annotated[str, option("NAME", "Format: table, github, json, junit or md.", "--format")] = "table",
    output: Annotated[
        Path | None,
        option("FILE", "Write json, junit or md to this file, beside the table.", "--output", "-o"),
    ] = None,
) -> None:
    """Compare stored results with a baseline, image by image.

    Cells are matched by suite, model, method, bits, recipe, limit, window and adaptation; any other
    difference is reported.
    In GitHub Actions, annotations and the job's summary go with the table.

    \b
    Exit codes:
      0  no significant drop beyond the tolerance
      1  a drop larger than --max-drop, with a p-value below --p
      2  wrong usage, such as a baseline or a results folder that does not exist
      3  a cell of the baseline is missing, failed or cannot be compared
      4  an improvement beyond the tolerance (only with --two-sided)

    \b
    Examples:
      flatqat bench check --baseline main.json
      flatqat bench check --baseline main.json --only 'qat*' --only-changed
      flatqat bench check --baseline main.json --format junit --output gate.xml
    """
    from flatqat.bench.gate.check import check as run_check
    from flatqat.bench.gate.compare import Rules
    from flatqat.bench.records.store import Store
    from flatqat.commands.verdicts import check_form, print_check
    from flatqat.commands.written import check_output

    known = check_form(form, output)
    if not 0 < p < 1:
        raise UsageError(f"--p: expected a number above 0 and below 1, such as 0.01, got {p:g}")
    check_output("--output", output, results, [baseline])
    if evaluation_only:
        refuse(context, ("retraining_sd",), "expected no --evaluation-only, which tests over images alone")
    if output is None and known in ("json", "junit"):
        refuse(context, ("only_changed",), f"expected a format of tables, got {known}, which has all rows")
    rules = Rules(
        max_drop=max_drop,
        p=p,
        two_sided=two_sided,
        retraining_sd=retraining_sd,
        evaluation_only=evaluation_only,
    )
    checked = run_check(Store(results), baseline, rules, only or ())
    print_check(checked, rules, known, output, only_changed)
    raise typer.Exit(checked.code)


def canary(
    model: Annotated[Names, option("NAME", "Models to check.  [default: all with published figures]")] = None,
    weights: Annotated[
        Path | None,
        option("FILE[#ENTRY]", "File of public weights, for a single --model.", callback=input_file),
    ] = None,
    pretrained: Annotated[
        bool, flag("--pretrained", "Use the model source's public weights; downloads them if needed.")
    ] = False,
    data_root: DataRoot = None,
    results: Results = Path("results/canary"),
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
    limit: Limit = None,
) -> None:
    """Check your data against published accuracies of public weights.

    A wrong crop, class mask or class order shows as a difference. A figure passes if it lies within the
    sampling interval of as many images; what cannot be checked is listed with the reason.

    \b
    Exit codes:
      0  all figures that could be checked are right
      1  a figure is off
      2  wrong usage
      3  no figure could be checked

    \b
    Examples:
      flatqat bench canary --data-root data --pretrained
      flatqat bench canary --model timm:resnet50.tv_in1k --weights resnet50.pth
    """
    from flatqat.bench.plan.request import Request

    models = split(model)
    if weights and len(models) != 1:
        raise UsageError(f"--weights: expected one --model that the weights belong to, got {len(models)}")
    request = Request(
        suites=(),
        methods=("fp",),
        bits=("fp",),
        seeds=(0,),
        weights=weights,
        pretrained=pretrained,
        data_root=data_root,
        results=results,
        device=device,
        threads=threads,
        workers=workers,
        limit=limit,
    )
    from flatqat.commands.execute import check_figures

    raise typer.Exit(check_figures(models, request))
