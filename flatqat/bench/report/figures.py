"""What the pictures of reports have in common: lines and axes, the legend with its notes, the file."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from flatqat.bench.report.point_styles import Style
from flatqat.console.blocks import folded
from flatqat.console.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE_COLOR, GRID_COLOR = "#8a8f98", "#e3e5e8"
NOTES_CHARACTERS_PER_INCH, TITLE_CHARACTERS_PER_INCH = 17, 13
LINE_HEIGHT = 0.17  # inches, of a legend
LONGEST_NAME = 30  # characters, in a line of a legend
SEVERAL_SEEDS = "Bars: 95% intervals over seeds and images together"
ONE_SEED = "of one training run over its images alone"

Entry = tuple[str, Style]
"""A name in a legend and its style."""


def plain_axes_(axes: Any) -> None:
    """Give axes a quiet grid behind the data, and no frame above and at the right."""
    axes.grid(color=GRID_COLOR, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def wrapped(text: str, width: float) -> str:
    """Return a title in lines that fit `width` inches."""
    return fill(printable(text), int(TITLE_CHARACTERS_PER_INCH * width))


def title_(axes: Any, text: str, width: float) -> None:
    """Write a title above axes, in lines that fit `width` inches."""
    title = wrapped(text, width)
    axes.set_title(title, fontsize=9, loc="left", parse_math=False)  # a $ in a name is not a formula


def legend_height(entries: Sequence[Entry], notes: str, width: float) -> float:
    """Return the inches that `legend_` takes."""
    rows = -(-len(entries) // _columns(entries, width))
    heights = [_name(name).count("\n") + 1 for name, _ in entries]
    tallest = max((sum(heights[k : k + rows]) for k in range(0, len(heights), rows or 1)), default=0)
    return LINE_HEIGHT * (tallest + _filled(notes, width).count("\n") + 1) + 0.2


def legend_(figure: "Figure", entries: Sequence[Entry], notes: str, width: float) -> None:
    """Write names beside their styles below a figure of `width` inches, and the notes above them."""
    from matplotlib.lines import Line2D

    legend = figure.legend(
        handles=[Line2D([], [], label=_name(name), **style) for name, style in entries],
        loc="outside lower center",
        ncols=_columns(entries, width),
        frameon=False,
        title=_filled(notes, width),
        fontsize=8,
        title_fontproperties={"size": 7},
    )
    legend.set_alignment("left")
    for text in legend.get_texts():
        text.set_parse_math(False)


def bars_note(seeds: Sequence[int]) -> str:
    """Return what the bars of points are, from the numbers of seeds of those that have one."""
    if not seeds:
        return "No intervals: the outcomes of images are not stored."
    single = [count == 1 for count in seeds]
    if all(single):
        return f"Bars: 95% intervals, {ONE_SEED}."
    return f"{SEVERAL_SEEDS}{f'; {ONE_SEED}' if any(single) else ''}."


def bar(value: float, ends: tuple[float, float] | None) -> list[list[float]]:
    """Return an interval as matplotlib draws error bars: below and above its value."""
    return [[value - ends[0]], [ends[1] - value]] if ends else [[0.0], [0.0]]


def _columns(entries: Sequence[Entry], width: float) -> int:
    longest = max((len(line) for name, _ in entries for line in _name(name).split("\n")), default=0)
    return max(1, min(6, int(width / (0.06 * longest + 0.55))))


def _name(name: str) -> str:
    return folded(name, LONGEST_NAME)


def _filled(notes: str, width: float) -> str:
    return fill(notes, int(NOTES_CHARACTERS_PER_INCH * width))
