"""The JSON of a baseline, cell by cell and line by line, so that that of thousands is never in memory.

The file is that of `to_json`. One of another layout is parsed as a whole.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

from flatqat.bench.records.alike import strict
from flatqat.spec.reading import to_plain

BEGIN, BETWEEN = b'{\n "cells": {\n  "', b',\n  "'
END = re.compile(rb'\n \},\n "schema": ([1-9][0-9]{0,8})\n\}\n?')
LONGEST_END = 64
SHIFTS = b'"shifts": {'
IN_PLACE = secrets.token_hex(8)
"""For shifts while they are cut out, to see where they were; unknown to who wrote the file."""
NO_SHIFTS = '"shifts": {}'


def cell_line() -> Callable[[Any], bytes]:
    """Return a function that makes the line of a cell, and writes shifts that many cells share once."""
    known: dict[int, tuple[object, str]] = {}

    def line(packed: Any) -> bytes:
        shifts = packed.shifts
        if id(shifts) not in known:
            known[id(shifts)] = shifts, _one_line(to_plain(shifts))
        text = _one_line(replace(packed, shifts={}).to_dict())
        before, _, after = text.rpartition(NO_SHIFTS)  # only a digest of weights comes after it
        return f'{before}"shifts": {known[id(shifts)][1]}{after}'.encode()

    return line


def with_lines(cells: Mapping[str, bytes], schema: int) -> Iterator[bytes]:
    """Yield the parts of the file with these cells by id."""
    for number, cell_id in enumerate(sorted(cells)):
        yield BETWEEN if number else BEGIN
        yield json.dumps(cell_id)[1:].encode() + b": "
        yield cells[cell_id]
    yield b'\n },\n "schema": %d\n}\n' % schema


def lines_of(text: bytes) -> tuple[int, Iterator[tuple[str, Any]]]:
    """Return the schema of a file and its cells by id, one after the other.

    Raises ValueError if its layout is another. The iterator does so on a damaged line and an id that was
    there before.
    """
    end = END.search(text, max(0, len(text) - LONGEST_END))
    if end is None or end.end() != len(text) or not text.startswith(BEGIN):
        raise ValueError("expected a cell on each line")
    return int(end[1]), _cells(text, end.start())


def _cells(text: bytes, end: int) -> Iterator[tuple[str, Any]]:
    known: set[str] = set()
    start = len(BEGIN)
    while start < end:
        stop = text.find(BETWEEN, start, end)
        stop = end if stop < 0 else stop
        cells = _parsed(b'{"%b}' % text[start:stop])
        if not known.isdisjoint(cells):
            raise ValueError("twice in one object")
        known.update(cells)
        yield from cells.items()
        start = stop + len(BETWEEN)


def _parsed(text: bytes) -> dict[str, Any]:
    """Return what `strict` makes of the text of a cell; equal shifts of several cells are the same object.

    They are cut out, and parsed on their own if they were where they belong.
    """
    start = text.rfind(SHIFTS) + len(SHIFTS) - 1
    stop = len(text) - 2 if text.endswith(b"}}}}") else text.rfind(b"}}") + 2
    if len(SHIFTS) <= start < stop:
        with suppress(ValueError):
            cells: dict[str, Any] = strict(b'%b"%b"%b' % (text[:start], IN_PLACE.encode(), text[stop:]))
            ((cell_id, cell),) = cells.items()
            if isinstance(cell, dict) and cell.get("shifts") == IN_PLACE:
                return {cell_id: {**cell, "shifts": _shifts(text[start:stop])}}
    whole: dict[str, Any] = strict(text)
    return whole


@lru_cache(maxsize=64)
def _shifts(text: bytes) -> Any:
    return strict(text)


def _one_line(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)
