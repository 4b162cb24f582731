"""The severities of `digits-c`: networks keep what `scripts/calibrate_digits.py` says they should.

All on `val`, as no shifted test image may choose anything, with networks of seeds that chose nothing
either.
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
        name: [
            float(np.mean(accuracies(models, name, s, CONSTANTS["digits"][name][s - 1]))) for s in severities
        ]
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


@pytest.mark.slow
def test_severity_3_is_neither_harmless_nor_hopeless(tmp_path: Path) -> None:
    """One network; 2 points are two standard errors of an accuracy of 96% on 397 images."""
    clean, found = kept(networks(range(1010, 1011), tmp_path), (3,))
    assert clean > 96
    for name, (middle,) in found.items():
        assert CHANCE + 15 <= middle <= clean - 2 + 2, name
    # the mean over corruptions of single networks scatters by about 6 points
    assert np.mean(list(found.values())) == pytest.approx(KEPT[3], abs=18)


@pytest.mark.slow
def test_every_corruption_gets_worse_with_severity(tmp_path: Path) -> None:
    """On average over five networks; all severities have the same images."""
    assert 1010 not in SEEDS
    clean, found = kept(networks(range(1010, 1015), tmp_path), SEVERITIES)
    assert 97 <= clean <= 99
    for name, means in found.items():
        assert (np.diff([clean, *means]) < 0).all(), (name, means)
        assert CHANCE + 15 <= means[2] <= clean - 2, (name, means)
        assert means[4] >= CHANCE + 15, (name, means)
    overall = np.mean(list(found.values()), axis=0)
    # three standard errors: 6 points / sqrt(5) of these networks, 6 / sqrt(10) of those that chose
    assert overall == pytest.approx(np.array(list(KEPT.values())), abs=10)
