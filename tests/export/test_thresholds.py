"""Thresholds by bisection: the exact ends of rounding, half to even, and functions that leave codes out."""

import torch

from flatqat.export.thresholds import LARGEST, number, order, thresholds

INF = torch.inf


def below(value: float) -> float:
    return torch.nextafter(torch.tensor(value), torch.tensor(-INF)).item()


def test_rounding_half_to_even_keeps_a_half_where_the_even_code_is_below():
    found = thresholds(lambda v: v.round().clamp(-2, 3).int(), -2, 3)
    assert found.tolist() == [-1.5, below(-0.5), 0.5, below(1.5), 2.5]


def test_codes_that_no_value_has_give_infinite_thresholds():
    never_above = thresholds(lambda v: torch.zeros_like(v).int(), 0, 2)
    never_below = thresholds(lambda v: torch.full_like(v, 2).int(), 0, 2)
    assert never_above.tolist() == [INF, INF]
    assert never_below.tolist() == [-INF, -INF]


def test_a_code_between_two_that_has_no_value_gives_two_equal_thresholds():
    found = thresholds(lambda v: (2 * (v > 1)).int(), 0, 2)
    assert found.tolist() == [1.0, 1.0]


def test_places_are_in_the_order_of_numbers_and_have_no_gap():
    smallest = 2.0**-149
    values = torch.tensor([-LARGEST, -1.0, -smallest, -0.0, 0.0, smallest, 1.0, LARGEST])
    places = order(values)
    assert places.tolist() == sorted(places.tolist())
    assert places[2:6].tolist() == [-1, 0, 0, 1]
    assert torch.equal(number(places), values)
    assert number(order(torch.tensor([1.0])) + 1).item() == 1 + 2.0**-23
