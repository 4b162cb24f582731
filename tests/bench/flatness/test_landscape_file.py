"""Landscape files: numbers that read back, pictures that are pictures, the same bytes each time."""

import csv
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest

from flatqat.bench.flatness.landscape_file import LandscapeOptions, contour_levels, write_landscape
from flatqat.errors import UsageError
from flatqat.flatness.landscape import Landscape

ABOUT = {"cell": "tiny-qat-4", "space": "quantized", "acts": "on", "images": 256}


def sampled(loss, points: int = 5) -> Landscape:
    half = points // 2
    at = tuple(step / half for step in range(-half, half + 1))
    return Landscape(coordinates=at, losses=tuple(tuple(float(loss(d, e)) for e in at) for d in at))


BOWL = sampled(lambda d, e: 0.02 + 3 * (d - 0.5) ** 2 + e**4)


def test_csv_and_json_hold_every_number(tmp_path):
    write_landscape(BOWL, ABOUT, LandscapeOptions(file=tmp_path / "s.csv"))
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert len(rows) == 25
    for row in rows:
        i, j = (BOWL.coordinates.index(float(row[axis])) for axis in ("d", "e"))
        assert float(row["loss"]) == BOWL.losses[i][j]
    write_landscape(BOWL, ABOUT, LandscapeOptions(file=tmp_path / "s.json"))
    data = json.loads((tmp_path / "s.json").read_text())
    assert data["cell"] == "tiny-qat-4"
    assert tuple(map(tuple, data["losses"])) == BOWL.losses
    assert tuple(data["coordinates"]) == BOWL.coordinates


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_pictures_are_the_same_to_the_byte(tmp_path, suffix):
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for file in (first, second):
        write_landscape(BOWL, ABOUT, LandscapeOptions(file=file))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")
    assert len(first.read_bytes()) > 10_000


def test_a_picture_has_the_first_direction_across_and_marks_both_points(tmp_path, monkeypatch):
    seen = {}

    def look(figure, *args, **kwargs):
        seen["figure"] = figure

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", look)
    write_landscape(BOWL, ABOUT, LandscapeOptions(file=tmp_path / "s.png"))
    axes, bar = seen["figure"].axes
    center, lowest = axes.lines
    assert (center.get_xdata()[0], center.get_ydata()[0]) == (0, 0)
    assert (lowest.get_xdata()[0], lowest.get_ydata()[0]) == (0.5, 0)  # d across, e upwards
    assert center.get_label() == "weights: 0.77"
    assert lowest.get_label() == "lowest on the grid: 0.02"
    assert seen["figure"].get_suptitle() == "tiny-qat-4"
    assert axes.get_title() == "space quantized, input quantizers on, 256 training images"
    assert axes.texts, "the contours must carry their values"
    assert bar.get_ylabel() == "loss"


@pytest.mark.parametrize(
    "loss", [lambda d, e: 1.0, lambda d, e: 0.0, lambda d, e: -d, lambda d, e: 1e-9 + 1e6 * d * d], ids="abcd"
)
def test_odd_surfaces_can_be_drawn(tmp_path, loss):
    """Constant, zero, negative, and over fifteen decades; a warning of matplotlib's is an error here."""
    write_landscape(sampled(loss), ABOUT, LandscapeOptions(file=tmp_path / "s.png"))
    assert (tmp_path / "s.png").exists()


def test_contours_are_at_round_numbers():
    assert contour_levels(0.03, 22) == [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
    wide = contour_levels(1e-9, 4e6)
    assert 5 <= len(wide) <= 14
    assert all(math.log10(level) == pytest.approx(round(math.log10(level))) for level in wide)
    narrow = contour_levels(2.29, 2.31)  # not a decade: evenly spaced, and around both ends
    gaps = {round(b - a, 9) for a, b in pairwise(narrow)}
    assert len(gaps) == 1
    assert narrow[0] <= 2.29
    assert narrow[-1] >= 2.31


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        ({"file": Path("x.gif")}, "ends in one of .png, .svg, .pdf, .csv, .json, got x.gif"),
        ({"file": Path("x.png"), "points": 20}, "--grid: expected an odd number from 3 to 501.*got 20"),
        ({"file": Path("x.png"), "points": 1}, "--grid"),
        ({"file": Path("x.png"), "span": 0.0}, "--span: expected a number above 0, 3.4e.38 at most, got 0.0"),
        ({"file": Path("x.png"), "span": math.nan}, "--span"),
        ({"file": Path("x.png"), "span": 1e39}, "--span"),
    ],
)
def test_wrong_pictures_are_refused(args, pattern):
    with pytest.raises(UsageError, match=pattern):
        LandscapeOptions(**args)
