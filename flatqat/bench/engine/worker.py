"""A process that shares the work of a run, started by `process` as `python -m flatqat.bench.engine.worker`.

It reads what is to do from its standard input, and after that the word to begin, which it gets when all
checks have passed. When its input ends it stops. Its progress leaves it through its standard output.
"""

import os
import pickle
import signal
import sys
import warnings
from threading import Thread
from typing import BinaryIO

from flatqat import registry
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.assignment import Assignment
from flatqat.bench.engine.sharing import take_part
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import make_plan
from flatqat.console.merged import Event, Sent
from flatqat.errors import FlatqatError
from flatqat.exit_codes import INTERRUPTED, MISTAKE, OK


def main() -> int:
    """Take part in a run; returns the exit code."""
    commands, sender = sys.stdin.buffer, Sender(_own_output())
    warnings.simplefilter("ignore")  # the process that started this one shows the same
    _listen_to_interrupts()
    try:
        assignment: Assignment = pickle.load(commands)
        assignment.enter()
        progress = Sent(sender.send)
        for file in assignment.plugins:
            registry.add_plugin(file)
        plan = make_plan(assignment.request)
        todo, session = assignment.lacks_of(plan), Session.open(assignment.request, progress)
        pickle.load(commands)
        Thread(target=_stop_at_end, args=(commands,), daemon=True).start()
        with session.store.claims() as claims:
            take_part(todo, plan, session, Troubles(progress), claims)
    except FlatqatError as error:
        sender.send(("error", str(error)))
        return MISTAKE
    except (EOFError, KeyboardInterrupt):
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return OK


class Sender:
    """Writes events to a pipe; if nobody reads them any more, it interrupts this process."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output

    def send(self, event: Event) -> None:
        """Write an event."""
        try:
            pickle.dump(event, self._output)
            self._output.flush()
        except OSError as error:
            raise KeyboardInterrupt from error


def _own_output() -> BinaryIO:
    """Return the standard output for events alone; what others print goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def _listen_to_interrupts() -> None:
    """Let SIGINT raise KeyboardInterrupt, even if it was ignored before, as in background jobs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _stop_at_end(commands: BinaryIO) -> None:
    """Interrupt this process when its input ends: the run is over, interrupted or killed."""
    commands.read()
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    os._exit(main())  # what libraries do at the exit takes longer than many a piece of work
