"""Rows of a comparison: one for each thing that is tested, and none twice."""

import pytest

from flatqat.bench.gate.shift_groups import shift_groups
from tests.helpers.records import shift_info

ID = ("id", ["id"])


def infos(*families: str) -> dict:
    shifts = {f"s{place}": shift_info(family) for place, family in enumerate(families)}
    return {"id": shift_info("id"), **shifts}


def test_families_and_shifts_have_rows_beside_their_mean():
    shifts = infos("noise", "blur", "noise")
    assert shift_groups(shifts) == [
        ID, ("ood", ["s0", "s1", "s2"]), ("noise", ["s0", "s2"]), ("blur", ["s1"]),
    ]  # fmt: skip
    assert shift_groups(shifts, "shift")[2:] == [("s0", ["s0"]), ("s1", ["s1"]), ("s2", ["s2"])]


@pytest.mark.parametrize("by", ["family", "shift"])
def test_what_is_all_of_the_mean_is_tested_once(by):
    """As on a domain that is left out: Holm's correction would count one test twice."""
    assert shift_groups(infos("target"), by) == [ID, ("ood", ["s0"])]


def test_the_only_family_has_no_row_but_its_shifts_do():
    assert shift_groups(infos("noise", "noise")) == [ID, ("ood", ["s0", "s1"])]
    assert len(shift_groups(infos("noise", "noise"), "shift")) == 4
