"""A loss landscape as a file: a picture (PNG, SVG) or its numbers (CSV, JSON), by the file's ending."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.store import write_atomically
from flatqat.errors import UsageError

if TYPE_CHECKING:
    from flatqat.flatness.landscape import Landscape

SUFFIXES = (".png", ".svg", ".csv", ".json")
MOST_POINTS = 501
FEWEST_LEVELS, MOST_LEVELS = 5, 14


@dataclass(frozen=True, slots=True, kw_only=True)
class LandscapeOptions:
    """What to make: the file, how many points a side, and how far to go, in units of each filter's norm."""

    file: Path
    points: int = 21
    span: float = 1.0

    def __post_init__(self) -> None:
        if self.file.suffix not in SUFFIXES:
            raise UsageError(
                f"--landscape: expected a file that ends in one of {', '.join(SUFFIXES)}, got {self.file}"
            )
        if self.points % 2 == 0 or not 3 <= self.points <= MOST_POINTS:
            raise UsageError(
                f"--grid: expected an odd number from 3 to {MOST_POINTS}, so that the centre is on the grid, "
                f"got {self.points}"
            )
        if not 0 < self.span < math.inf:
            raise UsageError(f"--span: expected a finite number above 0, got {self.span}")


def write_landscape(
    surface: "Landscape", about: Mapping[str, Any], picture: LandscapeOptions
) -> dict[str, Any]:
    """Write `surface` in the form of the file's ending, and return its summary as {"landscape": ...}.

    `about` is what was measured, see `flatness_of`, and the cell. The same surface gives the same bytes.
    Raises StoreError when the file cannot be written.
    """
    if picture.file.suffix == ".json":
        data = json.dumps({**about, "coordinates": surface.coordinates, "losses": surface.losses}) + "\n"
        write_atomically(picture.file, data.encode())
    elif picture.file.suffix == ".csv":
        write_atomically(picture.file, _rows(surface).encode())
    else:
        write_atomically(picture.file, _drawn(surface, about, picture.file.suffix[1:]))
    return {
        "landscape": {
            "file": str(picture.file),
            "points": picture.points,
            "span": picture.span,
            "lowest": dict(zip(("loss", "d", "e"), surface.lowest, strict=True)),
            "highest": max(map(max, surface.losses)),
        }
    }


def _rows(surface: "Landscape") -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("d", "e", "loss"))
    for d, row in zip(surface.coordinates, surface.losses, strict=True):
        writer.writerows((d, e, loss) for e, loss in zip(surface.coordinates, row, strict=True))
    return text.getvalue()


def _drawn(surface: "Landscape", about: Mapping[str, Any], form: str) -> bytes:
    """Contours of the loss with their values; the weights and the lowest point of the grid are marked."""
    import matplotlib as mpl
    import numpy as np
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    at, losses = surface.coordinates, np.array(surface.losses).T  # contours take rows as y
    levels = contour_levels(float(losses.min()), float(losses.max()))
    scale = LogNorm if levels[0] > 0 and levels[-1] > 10 * levels[0] else Normalize
    lowest, d, e = surface.lowest
    with mpl.rc_context({"svg.hashsalt": "flatqat", "font.size": 9}):
        figure = Figure(figsize=(5.8, 5.4), layout="constrained")
        axes = figure.subplots()
        fill = axes.contourf(at, at, losses, levels, norm=scale(levels[0], levels[-1]), extend="both")
        lines = axes.contour(at, at, losses, levels, colors="white", linewidths=0.7)
        for label in axes.clabel(lines, fmt=lambda level: f"{level:g}", fontsize=8):
            label.set_path_effects([withStroke(linewidth=2, foreground="0.25")])
        axes.plot(0, 0, "k+", markersize=11, markeredgewidth=2, label=f"weights: {surface.centre:.3g}")
        axes.plot(
            d,
            e,
            "o",
            color="tab:red",
            fillstyle="none",
            markersize=9,
            label=f"lowest on the grid: {lowest:.3g}",
        )
        axes.lines[0].set_path_effects([withStroke(linewidth=4, foreground="white")])
        axes.set(xlabel="d, in norms of each filter", ylabel="e, in norms of each filter", aspect="equal")
        axes.set_title(
            f"space {about['space']}, input quantizers {about['acts']}, {about['images']} training images",
            fontsize=9,
        )
        figure.suptitle(about["cell"], fontsize=11)
        figure.colorbar(fill, label="loss", format="%g", ticks=levels, shrink=0.9).minorticks_off()
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        picture = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}  # the same bytes each time
        figure.savefig(picture, format=form, dpi=200, metadata=metadata)
    return picture.getvalue()


def contour_levels(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`: 1, 2, 5, 10, ... (or powers of ten) over a wide positive range,
    else evenly spaced."""
    if low > 0:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        series = [float(f"{digit}e{power}") for power in decades for digit in (1, 2, 5)]
        inside = [level for level in series if low <= level <= high]
        if len(inside) > MOST_LEVELS:
            inside = [
                level
                for level in series[:: 3 * math.ceil(len(decades) / MOST_LEVELS)]
                if low <= level <= high
            ]
        if len(inside) >= FEWEST_LEVELS:
            return inside
    from matplotlib.ticker import MaxNLocator

    return [float(level) for level in MaxNLocator(8).tick_values(low, high)]
