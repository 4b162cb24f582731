"""What `flatqat test` prints: each check when it is done, and each reason why some fail once."""

from collections.abc import Iterable

import typer

from flatqat.errors import counted

CHECKED_BY = ", checked by "  # what follows differs between checks that fail for one reason


def print_outcomes(outcomes: Iterable[tuple[str, str]]) -> bool:
    """Print checks with their problems, as `check_plugin` yields them; returns whether all passed.

    Of checks that fail for the same reason the first is printed, and at the end how many others there are.
    """
    failed: dict[str, list[str]] = {}
    for name, problem in outcomes:
        reason = problem.partition(CHECKED_BY)[0]
        if reason not in failed:
            typer.echo(f"FAILED {name}: {problem}" if problem else f"passed {name}")
        if problem:
            failed.setdefault(reason, []).append(name)
    for first, *others in failed.values():
        if others:
            checks = counted(len(others), "more check")
            typer.echo(f'{checks} failed for the same reason as "{first}"')
    return not failed
