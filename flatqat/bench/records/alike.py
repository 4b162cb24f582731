"""Fast parsing of records: lines that several records share are parsed once.

`to_json` writes each entry of a record's `cell`, `env` and `protocol` on a line, and most lines are those of
other records. Scores of one suite differ in their numbers alone. A text of another layout is parsed as it is.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from flatqat.spec.scores import Scores

ALIKE = (b"cell", b"env", b"protocol")
MOST_ENTRIES = 1024
MOST_FORMS, RARELY = 8, 50
"""How many forms are kept, and after how many mismatches one is made, which takes as long as fifty parses."""

NUMBER = rb"(-?+[0-9]{1,18}+(?:\.[0-9]++(?:e-[0-9]++|)|)|null)"  # nearly all finite ones


def strict(text: bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError on damage, and on equal names in one object."""
    return json.loads(text, object_pairs_hook=_unique)


def parsed(text: bytes) -> Any:
    """Return what `strict` makes of the text of a record, the scores perhaps as `Scores`.

    Equal entries of several records are the same objects, and may not be changed. Raises what `strict` does.
    """
    try:
        return _united(map(_top_entry, _entries(text.removesuffix(b"\n"), b"")))
    except (ValueError, RecursionError):  # of another layout, or damaged: `strict` says where
        return strict(text)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} twice in one object")
    return found


def _entries(text: bytes, indent: bytes) -> list[bytes]:
    """Return the entries of an object that has each on lines of its own, without their first quotes."""
    begin, between, end = b'{\n%b "' % indent, b',\n%b "' % indent, b"\n%b}" % indent
    if not (text.startswith(begin) and text.endswith(end)):
        raise ValueError("expected each entry on lines of its own")
    return text[len(begin) : -len(end)].split(between)


def _top_entry(text: bytes) -> dict[str, Any]:
    name, _, value = text.partition(b'": ')
    if name in ALIKE:
        return {name.decode(): _united(map(_entry_alike, _entries(value, b" ")))}
    if name == b"scores":
        return {"scores": _forms.read(value)}
    return _entry(text)


def _entry(text: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = _decoder.decode((b'{"%b}' % text).decode())
    return entry


_entry_alike = lru_cache(maxsize=MOST_ENTRIES)(_entry)


def _united(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    united, count = {}, 0
    for part in parts:
        united.update(part)
        count += len(part)
    if len(united) < count:
        raise ValueError("expected different names")
    return united


class _Form:
    """The text of scores with the names and numbers of images of an example; other numbers may differ."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        score = rb'%b: {"n": %d, "stderr": ' + NUMBER + rb', "value": ' + NUMBER + rb"}"
        sets = []
        for shift, metrics in scores.items():
            of_set = [score % (_quoted(metric), each.n) for metric, each in metrics.items()]
            sets.append(rb"  %b: {%b}" % (_quoted(shift), b", ".join(of_set)))
        self._pattern = re.compile(b"{\n%b\n }" % b",\n".join(sets))

    def read(self, text: bytes) -> Scores | None:
        """Return the scores in a text, or None if it has another form."""
        if (match := self._pattern.fullmatch(text)) is None:
            return None
        numbers = json.loads(b"[%b]" % b",".join(match.groups()))
        return self._scores.with_numbers(values=numbers[1::2], stderrs=numbers[::2])


class _Forms:
    """The forms of the scores that were read; a new one is made of scores that fit none of the others."""

    def __init__(self) -> None:
        self._forms: list[_Form] = []
        self._others = 0

    def read(self, text: bytes) -> Any:
        """Return the scores in a text, or what `strict` makes of it."""
        for form in self._forms:
            if (scores := form.read(text)) is not None:
                return scores
        plain = strict(text)
        self._others += 1
        if self._others % RARELY == 0:
            self._forms = [_Form(Scores.read(plain)), *self._forms[: MOST_FORMS - 1]]
        return plain


def _quoted(name: str) -> bytes:
    return re.escape(json.dumps(name).encode())


_forms = _Forms()
_decoder = json.JSONDecoder(object_pairs_hook=_unique)
