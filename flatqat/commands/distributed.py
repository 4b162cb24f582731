"""What `bench run --distributed` does in each of the processes that torchrun has started."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from flatqat.bench.plan.request import Request
from flatqat.bench.ranks.place import Place
from flatqat.console.printable import printable
from flatqat.errors import FlatqatError
from flatqat.exit_codes import MISTAKE, OK

if TYPE_CHECKING:
    from flatqat.bench.ranks.ranks import Ranks


@contextmanager
def leading(place: Place | None, request: Request) -> Iterator[tuple[Request, "Ranks | None"]]:
    """Yield the request of the process that leads, and the others if there are any, until the block ends.

    Raises UsageError for a request that excludes training together.
    """
    if place is None:
        yield request, None
        return
    from flatqat.bench.engine.distributed import request_of
    from flatqat.bench.ranks.ranks import Ranks

    own = request_of(request, place)
    ranks = Ranks.meet(place) if place.size > 1 else None
    try:
        yield own, ranks
    finally:
        if ranks:
            ranks.close()


def follow(place: Place) -> int:
    """Take part in a run that another process leads, in silence unless this fails; returns the exit code."""
    from flatqat.bench.engine.distributed import follow as follow_ranks
    from flatqat.bench.ranks.ranks import Ranks

    ranks = Ranks.meet(place)
    try:
        follow_ranks(ranks)
    except FlatqatError as error:
        typer.echo(f"error: process {place.rank}: {printable(str(error))}", err=True)
        return MISTAKE
    finally:
        ranks.close()
    return OK
