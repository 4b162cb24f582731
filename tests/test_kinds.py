"""Values against annotations."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import pytest

from flatqat.kinds import fits, said, shown


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (int, [0, -1], [True, 1.0, "1", None]),
        (float, [0.5, 1], [True, "1", None]),
        (bool, [True, False], [0, 1, "no"]),
        (str, ["", "a"], [b"a", 1]),
        (int | None, [None, 2], [True, "2"]),
        (Literal["a", "b"], ["a"], ["c", None]),
        (tuple[str, ...], [(), ("a",), ["a", "b"]], ["a", ("a", 1), None]),
        (tuple[int, int], [(1, 2), [3, 4]], [(1,), (1, 2, 3), (1, "2"), 12]),
        (Collection[str], [{"a"}, ("a",), {"a": 1}.keys()], ["a", (1,), 1]),
        (Mapping[str, int], [{}, {"a": 1}], [{"a": "1"}, [("a", 1)]]),
        (Callable[[], int], [print, lambda: 1], [1, "print"]),
        (Any, [None, 1, object()], []),
    ],
)
def test_a_value_fits_its_kind_or_not(kind, right, wrong):
    assert [value for value in right if not fits(value, kind)] == []
    assert [value for value in wrong if fits(value, kind)] == []


def test_kinds_and_values_in_words():
    assert said(tuple[int, int]) == "a tuple of 2, each of it a whole number"
    assert said(tuple[str, ...]) == "a tuple, each of it a text"
    assert said(int | None) == "a whole number or None"
    assert said(Literal["a", "b"]) == "'a' or 'b'"
    assert [shown(value) for value in (5, "a\n", ("a", 1), int, object())] == [
        "5", r"'a\n'", "('a', 1)", "the class int", "a object"
    ]  # fmt: skip
    assert len(shown("x" * 1000)) < 70
