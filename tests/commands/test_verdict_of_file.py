"""The last line of `flatqat export verify`: whether float64 makes a difference one of rounding."""

from dataclasses import replace

import pytest

from flatqat.commands.verified import Least, verdict
from flatqat.spec import CodeFlips, Exact
from tests.bench.records.test_deployments import ALL, FULL, RECORD, RUN

SAME = CodeFlips(images=1, layers=1, codes=9, differing=0, largest=0)
MOST = replace(RUN, all=replace(ALL, agreement=99.985))


@pytest.mark.parametrize(
    ("plain", "exact", "said"),
    [
        (MOST, Exact(codes=SAME), "; float64 agrees, so this is rounding"),
        (RUN, Exact(codes=SAME), "; float64 agrees"),
        (MOST, Exact(codes=replace(SAME, differing=1)), "; in float64 codes differ: more than"),
        (MOST, Exact(agreement=75.0, codes=SAME), "; float64 does not agree (75.000%): more than"),
        (MOST, None, "the cell with itself 100.000%"),
        (MOST, Exact(problem="no memory"), "the cell with itself 100.000%"),
    ],
)
def test_the_last_line_says_whether_it_is_rounding(plain, exact, said):
    line = verdict(RECORD, replace(FULL, plain=plain, exact=exact))
    assert said in line
    assert line.endswith(said) or said.endswith("than")


def test_each_graph_has_its_own_least_agreement_and_as_much_is_enough():
    found = replace(FULL, plain=MOST)
    assert Least(plain=99.985).failing(found) == []
    assert Least(plain=99.986, optimized=100.0).failing(found) == ["plain"]
    swapped = replace(FULL, optimized=MOST)
    assert Least(plain=100.0, optimized=99.986).failing(swapped) == ["optimized"]
