"""Standard output and error that fail clearly: no traceback, and no exit code that is a verdict.

A closed pipe (`flatqat bench report | head -1`) ends the command silently, as it does other programs; a full
disk ends it with exit code 2 and the cause. What cannot be written to standard error is lost, and changes
nothing. A stream that was closed from the start (`>&-`) takes everything, like /dev/null. Standard input that
was (`<&-`) has nothing.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flatqat.exit_codes import CLOSED_PIPE, MISTAKE


class Output:
    """A text stream for people whose failures end the command, or are ignored."""

    def __init__(self, stream: Any, *, ends: bool) -> None:
        self._stream, self._ends = stream, ends

    def __getattr__(self, name: str) -> Any:
        """Return what the stream itself has."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text. Raises SystemExit if that fails and ends the command."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._failed(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered. Raises SystemExit as `write` does."""
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        with suppress(OSError, ValueError):  # the interpreter's own flush at exit finds a sink
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if self._ends and isinstance(error, BrokenPipeError):
            raise SystemExit(CLOSED_PIPE)
        if self._ends:
            sys.stderr.write(f"error: cannot write to standard output: {error.strerror or error}\n")
            raise SystemExit(MISTAKE)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Within, standard output and error are `Output`s; at the end all is written, or SystemExit raised."""
    kept = sys.stdin, sys.stdout, sys.stderr
    out, err = (_open(stream, number) for number, stream in ((1, sys.stdout), (2, sys.stderr)))
    sys.stdin = sys.stdin or io.StringIO()
    sys.stdout, sys.stderr = Output(out, ends=True), Output(err, ends=False)
    try:
        yield
    finally:
        try:
            sys.stderr.flush()
            sys.stdout.flush()
        finally:
            sys.stdin, sys.stdout, sys.stderr = kept


def _open(stream: Any, number: int) -> Any:
    """Return a stream that writes ? for what its encoding lacks, or a sink in place of a closed stream."""
    if stream is None:
        sink = os.open(os.devnull, os.O_WRONLY)
        if sink != number:
            os.dup2(sink, number)
            os.close(sink)
        return open(number, "w", encoding="utf-8", closefd=False)
    if isinstance(stream, io.TextIOWrapper):
        if isinstance(stream.buffer, io.RawIOBase):  # with PYTHONUNBUFFERED, where a part of a write is lost
            again = io.FileIO(stream.fileno(), "w", closefd=False)
            stream = io.TextIOWrapper(io.BufferedWriter(again), stream.encoding, line_buffering=True)
        stream.reconfigure(errors="replace")  # for a locale without λ and ±
    return stream
