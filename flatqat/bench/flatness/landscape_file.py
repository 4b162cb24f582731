"""Loss landscapes as files: a plot (PNG, SVG, PDF) or numbers (CSV, JSON), depending on the file's suffix."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.files import write_output
from flatqat.bench.records.picture_files import as_bytes, check_suffix, drawing
from flatqat.errors import UsageError
from flatqat.spec.recipe import LARGEST_NUMBER

if TYPE_CHECKING:
    from flatqat.flatness.landscape import Landscape

NUMBERS = (".csv", ".json")
MAX_POINTS = 501
MIN_LEVELS, MAX_LEVELS = 5, 14


@dataclass(frozen=True, slots=True, kw_only=True)
class LandscapeOptions:
    """The file, grid points per side and span in norms of each filter; raises UsageError if one is wrong."""

    file: Path
    points: int = 21
    span: float = 1.0

    def __post_init__(self) -> None:
        check_suffix("--landscape", self.file, NUMBERS)
        if self.points % 2 == 0 or not 3 <= self.points <= MAX_POINTS:
            expected = f"an odd number from 3 to {MAX_POINTS}, so that the center is on the grid"
            raise UsageError(f"--grid: expected {expected}, got {self.points}")
        if not 0 < self.span <= LARGEST_NUMBER:
            raise UsageError(f"--span: expected a number above 0, {LARGEST_NUMBER} at most, got {self.span}")


def write_landscape(
    landscape: "Landscape", measured: Mapping[str, Any], options: LandscapeOptions
) -> dict[str, Any]:
    """Write `landscape` in the format of the file's suffix, and return its summary as {"landscape": ...}.

    `measured`, the result of `flatness_of` with the cell's label, goes to the JSON file and the plot's title.
    The same landscape gives the same bytes. Raises StoreError if the file cannot be written.
    """
    if options.file.suffix == ".json":
        losses = {"coordinates": landscape.coordinates, "losses": landscape.losses}
        content = f"{json.dumps({**measured, **losses})}\n".encode()
    elif options.file.suffix == ".csv":
        content = _csv_of(landscape).encode()
    else:
        content = _rendered(landscape, measured, options.file.suffix)
    write_output(options.file, content)
    summary = {"file": str(options.file), "points": options.points, "span": options.span}
    lowest = dict(zip(("loss", "d", "e"), landscape.lowest, strict=True))
    return {"landscape": {**summary, "lowest": lowest, "highest": max(map(max, landscape.losses))}}


def _csv_of(landscape: "Landscape") -> str:
    lines = ["d,e,loss"]
    for d, row in zip(landscape.coordinates, landscape.losses, strict=True):
        lines += [f"{d},{e},{loss}" for e, loss in zip(landscape.coordinates, row, strict=True)]
    return "\n".join(lines) + "\n"


def _rendered(landscape: "Landscape", measured: Mapping[str, Any], suffix: str) -> bytes:
    """Return a contour plot of the loss with the weights and the lowest point of the grid marked."""
    import numpy as np
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    ticks, losses = landscape.coordinates, np.array(landscape.losses).T  # contours take rows as y
    levels = contour_levels(float(losses.min()), float(losses.max()))
    scale = LogNorm if levels[0] > 0 and levels[-1] > 10 * levels[0] else Normalize
    lowest, d, e = landscape.lowest
    with drawing():
        figure = Figure(figsize=(5.8, 5.4), layout="constrained")
        axes = figure.subplots()
        fill = axes.contourf(ticks, ticks, losses, levels, norm=scale(levels[0], levels[-1]), extend="both")
        lines = axes.contour(ticks, ticks, losses, levels, colors="white", linewidths=0.7)
        for label in axes.clabel(lines, fmt=lambda level: f"{level:g}", fontsize=8):
            label.set_path_effects([withStroke(linewidth=2, foreground="0.25")])
        axes.plot(0, 0, "k+", markersize=11, markeredgewidth=2, label=f"weights: {landscape.center:.3g}")
        lowest_label = f"lowest on the grid: {lowest:.3g}"
        axes.plot(d, e, "o", color="tab:red", fillstyle="none", markersize=9, label=lowest_label)
        axes.lines[0].set_path_effects([withStroke(linewidth=4, foreground="white")])
        axes.set(xlabel="d, in norms of each filter", ylabel="e, in norms of each filter", aspect="equal")
        where = f"space {measured['space']}, input quantizers {measured['acts']}"
        axes.set_title(f"{where}, {measured['images']} training images", fontsize=9)
        figure.suptitle(measured["cell"], fontsize=11)
        figure.colorbar(fill, label="loss", format="%g", ticks=levels, shrink=0.9).minorticks_off()
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return as_bytes(figure, suffix)


def contour_levels(low: float, high: float) -> list[float]:
    """Return round contour levels for losses from `low` to `high`.

    Over a wide positive range they are 1, 2, 5, 10, ... or powers of ten, otherwise evenly spaced.
    """
    if low > 0:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        series = [float(f"{digit}e{power}") for power in decades for digit in (1, 2, 5)]
        levels = [level for level in series if low <= level <= high]
        if len(levels) > MAX_LEVELS:
            powers = series[:: 3 * math.ceil(len(decades) / MAX_LEVELS)]
            levels = [level for level in powers if low <= level <= high]
        if len(levels) >= MIN_LEVELS:
            return levels
    from matplotlib.ticker import MaxNLocator

    return [float(level) for level in MaxNLocator(8).tick_values(low, high)]
