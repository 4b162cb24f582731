"""Why something failed, in one line for a record and, where it is a bug, with its traceback for the user."""

import os
import traceback

from flatqat.blame import frames_of_plugin
from flatqat.console.progress import Progress
from flatqat.errors import FlatqatError, TrainingFailed
from flatqat.memory import lack_of_memory, out_of_memory

EXPECTED = (FlatqatError, TrainingFailed, FloatingPointError)
"""Errors whose message says it all."""
FULL = "FLATQAT_TRACEBACK"
"""The environment variable that asks for tracebacks with the lines of flatqat that lead to a plugin."""


def explained(error: BaseException, title: str, progress: Progress) -> str:
    """Return why something failed in one line, and say it; a bug is said with its traceback."""
    if out_of_memory(error):
        reason = lack_of_memory(error)
    elif isinstance(error, EXPECTED):
        reason = str(error) or repr(error)
    else:
        reason = f"crashed: {error!r}"
        progress.say(f"crashed: {title}\n{_traceback(error)}")
        return reason
    progress.say(f"failed: {title}: {reason}")
    return reason


def _traceback(error: BaseException) -> str:
    """Return the traceback, of a plugin from its own first line on, unless the environment asks for all."""
    frames = None if os.environ.get(FULL) else frames_of_plugin(error)
    shown = traceback.format_exception(type(error), error, frames or error.__traceback__)
    if frames:
        shown.insert(0, f"(from the plugin on; {FULL}=1 shows all)\n")
    return "".join(shown)
