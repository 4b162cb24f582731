"""Why something failed, in one line for a record and, where it is a bug, with its traceback for the user."""

import traceback

from flatqat.console.progress import Progress
from flatqat.errors import FlatqatError, TrainingFailed
from flatqat.memory import lack_of_memory, out_of_memory

EXPECTED = (FlatqatError, TrainingFailed, FloatingPointError)
"""Errors whose message says it all."""


def explained(error: BaseException, title: str, progress: Progress) -> str:
    """Return why something failed in one line, and say it; a bug is said with its traceback."""
    if out_of_memory(error):
        reason = lack_of_memory(error)
    elif isinstance(error, EXPECTED):
        reason = str(error) or repr(error)
    else:
        reason = f"crashed: {error!r}"
        progress.say(f"crashed: {title}\n{''.join(traceback.format_exception(error))}")
        return reason
    progress.say(f"failed: {title}: {reason}")
    return reason
