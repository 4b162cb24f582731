"""How errors list names, and refuse one that is not among them."""

import pytest

from flatqat.errors import UsageError, choose, listed


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "none"),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (range(2000), "0, 1, 2 and 1,997 more"),
    ],
)
def test_the_first_names_and_how_many_others(names, text):
    assert listed(names, 3) == text


def test_no_names_in_other_words():
    assert listed([], empty="an empty folder") == "an empty folder"


def test_a_name_is_among_the_choices_or_refused():
    assert choose("fruit", "pear", {"apple": 1, "pear": 2}) == "pear"
    with pytest.raises(UsageError, match=r"unknown fruit .peer.: expected one of apple, pear; did you"):
        choose("fruit", "peer", ("pear", "apple"))
