"""The severities of `digits-c`: full-precision networks keep what `scripts/calibrate_digits.py` says they should.

All on `val`, as no shifted test image may choose anything, with networks of seeds that chose nothing either.
"""

from pathlib import Path

import numpy as np
import pytest

from flatqat.data.corruptions.constants import CONSTANTS
from flatqat.data.corruptions.names import SEVERITIES
from scripts.calibrate_digits import CANDIDATES, KEPT, SEEDS, accuracies, networks
from tests.helpers.loading import load

CHANCE = 10
NAMES = sorted(CONSTANTS["digits"])


def kept(models: list, severities: range | tuple[int, ...]) -> tuple[float, dict[str, list[float]]]:
    """Mean accuracy over the networks, clean and of each corruption at each severity."""
    found = {
        name: [float(np.mean(accuracies(models, name, s, CONSTANTS["digits"][name][s - 1]))) for s in severities]
        for name in NAMES
    }
    return float(np.mean(accuracies(models))), found


def test_the_constants_are_candidates_from_mild_to_severe() -> None:
    for name, candidates in CANDIDATES.items():
        places = [candidates.index(constants) for constants in CONSTANTS["digits"][name]]
        assert len(places) == len(SEVERITIES) == len(KEPT)
        assert places == sorted(set(places)), name


def test_the_corruptions_are_those_of_the_suite() -> None:
    shifts = load("digits-c").shifts[1:]
    assert sorted({shift.name.partition("/")[0] for shift in shifts}) == NAMES == sorted(CANDIDATES)
    assert {shift.build.keywords["table"] for shift in shifts} == {"digits"}


def test_severity_3_is_neither_harmless_nor_hopeless(tmp_path: Path) -> None:
    """For one network; 2 points are two standard errors of the accuracy near the upper bound on 397 images."""
    clean, found = kept(networks(range(1005, 1006), tmp_path), (3,))
    assert clean > 96
    for name, (middle,) in found.items():
        assert CHANCE + 15 <= middle <= clean - 2 + 2, name
    # single networks scatter by about 5 points in this mean
    assert np.mean(list(found.values())) == pytest.approx(KEPT[3], abs=10)


@pytest.mark.slow
def test_every_corruption_gets_worse_with_severity(tmp_path: Path) -> None:
    """For five networks together, and by more than nothing at every step: all severities have the same images."""
    assert 1005 not in SEEDS
    clean, found = kept(networks(range(1005, 1010), tmp_path), SEVERITIES)
    assert 97 <= clean <= 99
    for name, means in found.items():
        assert (np.diff([clean, *means]) < 0).all(), (name, means)
        assert CHANCE + 15 <= means[2] <= clean - 2, (name, means)
        assert means[4] >= CHANCE + 15, (name, means)
    overall = np.mean(list(found.values()), axis=0)
    assert overall == pytest.approx(np.array(list(KEPT.values())), abs=5)
