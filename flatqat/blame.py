"""Which errors come from a plugin's code, and how they are reported."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from flatqat import registry
from flatqat.errors import FlatqatError, PluginError
from flatqat.kinds import defined_at, fits, shown
from flatqat.memory import out_of_memory


@contextmanager
def blaming(kind: registry.Kind, name: str, expected: str) -> Iterator[None]:
    """Turn what the code of a plugin raises within into a PluginError with the line of its file.

    Mistakes of the user and a lack of memory pass, and so does what a built-in raises, which is a bug.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, FlatqatError) or out_of_memory(error) or registry.is_built_in(kind, name):
            raise
        file = registry.plugin_file(kind, name)
        where = registry.place(error, file) if file else ""
        got = f"{type(error).__name__}: {error}{where and f' ({where})'}"
        raise PluginError(f"{kind.word} {name}: expected {expected}, got: {got}; fix the plugin") from error


def asked(
    kind: registry.Kind, name: str, expected: str, of: Any, hook: Callable[..., Any], *args: Any
) -> Any:
    """Return what a function of a plugin returns for some arguments.

    Raises PluginError, with the line, if it raises (see `blaming`) or returns another kind than `of`.
    """
    with blaming(kind, name, expected):
        answer = hook(*args)
    if not fits(answer, of):
        where = defined_at(hook)
        raise PluginError(
            f"{kind.word} {name}: expected {expected}, got {shown(answer)}{where}; fix the plugin"
        )
    return answer


def frames_of_plugin(error: BaseException) -> TracebackType | None:
    """Return the part of a traceback that begins with the first line of a plugin file, or None."""
    frames = error.__traceback__
    while frames and not frames.tb_frame.f_globals.get("__name__", "").startswith(registry.MODULES):
        frames = frames.tb_next
    return frames
