"""What lower bits cost each layer under shift against what they cost on ID images, as a picture."""

from typing import Any

import numpy as np

from flatqat.bench.records.picture_files import as_bytes, drawing
from flatqat.bench.sensitivity.differences import ID, OOD, LayerChanges
from flatqat.bench.sensitivity.measure import LayerSweep

LEGEND = "colors: what costs most under shift\nhollow: its interval there holds zero"
NAMED = 6  # layers that cost the most under shift
COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:pink")


def picture(title: str, bits: str, tables: dict[LayerSweep, LayerChanges], suffix: str) -> bytes:
    """Return a panel for each sweep: a point for each layer with its intervals, those that cost most named.

    Named are the `NAMED` layers with the lowest values under shift, if below zero; hollow are those whose
    interval there holds zero.

    The same numbers give the same bytes with one version of matplotlib.
    """
    from matplotlib.figure import Figure

    with drawing():
        figure = Figure(figsize=(6.2 * len(tables), 5.6), layout="constrained")
        panels = figure.subplots(1, len(tables), squeeze=False)[0]
        for axes, (sweep, table) in zip(panels, tables.items(), strict=True):
            _panel(axes, table)
            whose = "this layer" if sweep.mode == "one" else "this layer beside all others"
            part = {"both": "", "acts": ", activations", "weights": ", weights"}[sweep.form.what]
            axes.set_title(f"{whose} at {bits} bits{part}", fontsize=9)
        figure.suptitle(title, fontsize=10)
        return as_bytes(figure, suffix)


def _panel(axes: Any, table: LayerChanges) -> None:
    x, y = (np.array([one.value for one in table.deltas[on]]) for on in (ID, OOD))
    dx, dy = (np.array([one.half_width() for one in table.deltas[on]]) for on in (ID, OOD))
    order = np.argsort(y, kind="stable")
    named = [place for place in order[:NAMED] if y[place] < 0]
    rest = [place for place in order if place not in named]
    style: dict[str, Any] = {"fmt": "o", "markersize": 4, "elinewidth": 0.6}
    axes.axline((0, 0), slope=1, color="0.8", linewidth=0.8, zorder=0)
    axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    gray = {"color": "0.55", "alpha": 0.7, "label": "other layers"}
    axes.errorbar(x[rest], y[rest], dy[rest], dx[rest], **gray, **style)
    for place, color in zip(named, COLORS, strict=False):
        label, sure = table.networks[place], y[place] + dy[place] < 0
        fill = {} if sure else {"markerfacecolor": "white"}
        axes.errorbar(x[place], y[place], dy[place], dx[place], color=color, label=label, **style, **fill)
    axes.set_xlabel("change of the ID score, points")
    axes.set_ylabel("change of the OOD score, points")
    said = LEGEND if named else ""
    legend = axes.legend(loc="upper left", fontsize=8, frameon=False, title=said, title_fontsize=7)
    legend.set_alignment("left")
    for text in legend.get_texts():
        text.set_parse_math(False)
