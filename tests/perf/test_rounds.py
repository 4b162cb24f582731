"""The arithmetic of ratios, on clocks that the tests turn."""

import pytest

from perf.rounds import NOT_INSTALLED, Row, Spread, built, row, turns


class Clock:
    """Shows what the calls have added to it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def call(self, *seconds: float):
        """A call that takes these seconds in turn, the last ones for ever."""
        left = list(seconds)

        def run() -> None:
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_every_round_gives_the_seconds_of_one_call_and_the_first_two_are_not_counted() -> None:
    clock = Clock()
    times = turns({"a": clock.call(9, 8, 1, 2, 3), "b": clock.call(5)}, 3, clock=clock)
    assert times == {"a": [1, 2, 3], "b": [5, 5, 5]}


def test_a_short_call_is_repeated_within_its_turn_and_counted_once() -> None:
    clock, calls = Clock(), []
    work = clock.call(0.01)
    times = turns({"short": lambda: (work(), calls.append(1))}, 2, clock=clock, shortest=0.05)
    assert times["short"] == pytest.approx([0.01, 0.01])
    assert len(calls) == 2 + 2 * 5


def test_a_first_call_that_compiles_does_not_say_how_often_to_repeat() -> None:
    clock, calls = Clock(), []
    work = clock.call(9, 1)
    turns({"short": lambda: (work(), calls.append(1))}, 1, clock=clock, shortest=5)
    assert len(calls) == 2 + 5


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that becomes ten times slower halfway changes no ratio."""
    times = {"ours": [2.0, 20.0, 2.4], "unit": [1.0, 10.0, 1.2], "peer": [3.0, 30.0, 3.6]}
    found = row(
        "ours / unit", times, "ours", "unit", peers=["peer"], absent={"gone": NOT_INSTALLED}, goal="≤ 2.5"
    )
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    assert found.peers["peer"] == pytest.approx((3, 3, 3))
    assert found.peers["gone"] == "not installed"


def test_a_ratio_of_speeds_is_that_of_times_upside_down() -> None:
    assert row("speed", {"ours": [1.0], "unit": [3.0]}, "ours", "unit", speed=True).value == 3


def test_quartiles() -> None:
    assert Spread.of([1, 2, 3, 4, 5]) == (3, 2, 4)
    assert Spread.of([7]) == (7, 7, 7)


def test_a_peer_that_is_not_installed_is_a_word_and_no_crash() -> None:
    def absent():
        raise ImportError("No module named 'nobody'")

    calls, reasons = built({"here": lambda: print, "gone": absent})
    assert list(calls) == ["here"]
    assert reasons == {"gone": "not installed"}


def test_a_row_without_a_figure_says_why() -> None:
    assert Row(name="on a GPU", note="no CUDA device here").value is None
