"""`flatqat bench baseline`, `check` and `canary`: results against stored ones, and against published ones."""

from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.bench import DEFAULT_WORKERS, DataRoot, Device, Results, Threads, Workers, split
from flatqat.errors import UsageError

REFERENCE = "fp"


def baseline(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    results: Results = Path("results"),
) -> None:
    """Store what `bench check` compares with: every finished cell, image by image.

    \b
    Example:
      flatqat bench baseline --output results/baselines/main.json
    """
    from flatqat.bench.gate.baseline import write_baseline
    from flatqat.bench.records.store import Store

    typer.echo(f"{output}: {write_baseline(Store(results), output)} cells")


def check(
    baseline: Annotated[Path, typer.Option(metavar="FILE", help="A file made by `flatqat bench baseline`.")],
    results: Results = Path("results"),
    max_drop: Annotated[
        float, typer.Option(min=0, metavar="POINTS", help="Tolerated drop of the metric.")
    ] = 0.5,
    p: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Significance level, after Holm.")
    ] = 0.01,
    two_sided: Annotated[bool, typer.Option("--two-sided", help="Improvements trip the gate too.")] = False,
) -> None:
    """Compare stored results with a baseline, image by image.

    Exit codes: 0 fine; 1 a drop that is both larger than --max-drop and significant; 2 usage;
    3 incomplete or nothing measured; 4 improved beyond tolerance (only with --two-sided).

    \b
    Example:
      flatqat bench check --baseline results/baselines/main.json
    """
    from flatqat.commands.execute import gate

    raise typer.Exit(gate(results, baseline, max_drop, p, two_sided))


def canary(
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Models.  [default: all with figures]")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The public weights of the one model named.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="The model source's own weights; may download.")
    ] = False,
    data_root: DataRoot = None,
    results: Results = Path("results/canary"),
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
    limit: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Score at most N images a shift.")
    ] = None,
) -> None:
    """Check published figures of public weights on your data: a wrong crop, mask or class order shows here.

    Each figure passes within the sampling interval of as many images. What data or weights do not allow is
    listed with the reason. Exit codes: 0 all that could be checked are fine, 1 one is off, 2 usage, 3 nothing
    could be checked.

    \b
    Examples:
      flatqat bench canary --data-root data --pretrained
      flatqat bench canary --data-root data --model torchvision:resnet50.IMAGENET1K_V1 --weights resnet50.pth
    """
    from flatqat.bench.plan.request import Request

    models = split(model)
    if weights and len(models) != 1:
        raise UsageError("--weights: expected one --model that the file belongs to, got " + str(len(models)))
    request = Request(
        suites=(),
        methods=(REFERENCE,),
        bits=("fp",),
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
