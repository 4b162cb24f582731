"""Where plots put their numbers: positions are read back from the pictures and compared with the values."""

import re
from dataclasses import replace

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import method_rows
from flatqat.bench.report.corruption_panels import Panel, panels_of
from flatqat.bench.report.html.lines import HEIGHT, Lines
from flatqat.bench.report.html.plots import of_rows
from flatqat.bench.report.html.row_styles import FIRST_SHOWN, MOST_LINES, RowStyle, row_styles_of
from flatqat.bench.report.html.svg import SHAPES
from flatqat.bench.report.pareto_picture import BESIDE, FRONT
from flatqat.bench.report.render import load
from flatqat.metrics.effective_robustness import LINES, predicted
from tests.helpers.cost_records import cost
from tests.helpers.cost_records import put as put_cost
from tests.helpers.study_records import CELL, planted, put, right_of

PIXEL = 0.1  # positions are written with one decimal, so two are off by 0.05 each
PANEL = Panel(name="fog", sets=["id", "fog/1", "fog/2"], labels=["ID", "1", "2"], joined=True)


def style(place: int, **fields) -> RowStyle:
    values = {"method": f"m{place}", "bits": "4", "style": "k0 d0", "shape": 0, "is_shown": True, **fields}
    return RowStyle(place=place, **values)


def paths(picture: str, name: str) -> list[str]:
    return re.findall(rf'<path class="{name}" d="([^"]*)"', picture)


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path)]


def assert_in_proportion(positions: list[float], values: list[float]) -> None:
    """A scale is linear: thirds lie between others as their values do."""
    (a, b, *others), (u, v, *rest) = positions, values
    assert others
    for position, value in zip(others, rest, strict=True):
        assert position == pytest.approx(a + (b - a) * (value - u) / (v - u), abs=3 * PIXEL)


def markers(picture: str) -> list[list[tuple[float, float]]]:
    """The places of the markers of each row."""
    ends = "|".join(map(re.escape, SHAPES))
    return [
        [(float(x), float(y)) for x, y in re.findall(rf"M([\d.-]+) ([\d.-]+)(?:{ends})", path)]
        for path in paths(picture, "m")
    ]


def test_lines_and_markers_are_at_their_values():
    columns = {
        "m0 4": {"id": 90.0, "fog/1": 72.5, "fog/2": 41.0},
        "m1 4": {"id": 95.0, "fog/1": None, "fog/2": 60.0},
    }
    ((_, picture),) = Lines(what="w", styles=[style(0), style(1)], columns=columns).pictures([PANEL])
    first, second = ([y for _, y in places(path)] for path in paths(picture, "l"))
    assert_in_proportion([*first, *second], [90.0, 72.5, 41.0, 95.0, 60.0])
    assert first[0] < first[1] < first[2]  # lower is further down
    assert markers(picture) == [places(path) for path in paths(picture, "l")]
    assert "m0 4, fog · ID: 90.0 · 1: 72.5 · 2: 41.0" in picture
    assert "m1 4, fog · ID: 95.0 · 2: 60.0" in picture


def test_intervals_beside_zero_are_at_their_ends():
    columns = {
        "m0 4": {"id": -1.0, "fog/1": -3.0, "fog/2": 2.0},
        "m0 4 low": {"id": -2.0, "fog/1": -6.0, "fog/2": 1.0},
        "m0 4 high": {"id": 0.5, "fog/1": -1.5, "fog/2": 4.0},
    }
    ((_, picture),) = Lines(what="w", styles=[style(0)], columns=columns, of_zero=True).pictures([PANEL])
    (bars,) = paths(picture, "i")
    ends = [(float(low), float(high)) for low, high in re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", bars)]
    values = [y for _, y in markers(picture)[0]]
    (zero,) = (float(y) for y in re.findall(r'class="zero" d="M\d+ ([\d.]+)H', picture))
    flat = [y for pair in ends for y in pair]
    assert_in_proportion([zero, *values, *flat], [0, -1, -3, 2, -2, 0.5, -6, -1.5, 1, 4])


@pytest.mark.parametrize("long", [-1000.0, 1000.0])
def test_a_few_long_intervals_do_not_squeeze_the_rest(long):
    names = [f"fog/{k}" for k in range(200)]
    panel = Panel(name="fog", sets=names, labels=["1"] * 200, joined=True)
    low, high = dict.fromkeys(names, -2.0), dict.fromkeys(names, 2.0)
    (low if long < 0 else high)["fog/7"] = long
    columns = {"m0 4": dict.fromkeys(names, 0.0), "m0 4 low": low, "m0 4 high": high}
    ((_, picture),) = Lines(what="w", styles=[style(0)], columns=columns, of_zero=True).pictures([panel])
    ends = re.findall(r"M[\d.]+ ([\d.-]+)V([\d.-]+)", paths(picture, "i")[0])
    far = [float(pair[long > 0]) for pair in ends]
    assert 0 <= far[7] <= HEIGHT
    assert 0 < abs(far[7] - far[8]) < 0.2 * HEIGHT


def test_zero_is_on_the_plot_however_far_from_it_all_values_are():
    values = {"id": -9.0, "fog/1": -9.5, "fog/2": -10.0}
    columns = {f"m0 4{end}": values for end in ("", " low", " high")}
    ((_, picture),) = Lines(what="w", styles=[style(0)], columns=columns, of_zero=True).pictures([PANEL])
    (zero,) = (float(y) for y in re.findall(r'class="zero" d="M\d+ ([\d.-]+)H', picture))
    assert 0 <= zero < markers(picture)[0][0][1]


def test_shifts_without_severities_are_not_joined():
    columns = {"m0 4": {"id": 90.0, "fog/1": 72.5, "fog/2": 41.0}}
    lines = Lines(what="w", styles=[style(0)], columns=columns)
    ((_, picture),) = lines.pictures([replace(PANEL, joined=False)])
    assert paths(picture, "l") == []
    assert len(markers(picture)[0]) == 3


def test_panels_are_corruptions_with_id_first(tmp_path):
    put(Store(tmp_path), CELL, right_of(0, 0.1, {}, [1]))
    (section,) = load(Store(tmp_path), None)
    panels = panels_of(section, "id")
    assert [panel.name for panel in panels] == ["blur", "fog", "snow", "spatter (not in the mean)"]
    assert [(panel.sets, panel.labels) for panel in panels][1] == (["id", "fog/1"], ["ID", "1"])


def figures(store: Store, answered: bool = False, **protocol):
    (section,) = load(store, None)
    rows = {
        key: [replace(r, protocol=replace(r.protocol, **protocol)) for r in records]
        for key, records in section.rows.items()
    }
    section = replace(section, rows=rows)
    found = method_rows(section, store)
    styled = {(one.method, one.bits): one for one in row_styles_of(section, "qat")}
    return {figure.name: figure for figure in of_rows(section, found, styled, answered=answered)}, found


def test_points_are_rows_and_the_dashed_line_has_the_gap_of_the_reference(tmp_path):
    shown, rows = figures(planted(tmp_path, slope=0.1))
    figure = shown["ID against OOD"]
    points = [place for (place,) in markers(figure.svg)]
    assert_in_proportion([y for _, y in points], [row["ood_top1"] for row in rows])
    assert_in_proportion([x for x, _ in points], [row["id_top1"] for row in rows])
    bars = [re.fullmatch(r"M\S+ (\S+)V(\S+)M(\S+) \S+H(\S+)", path) for path in paths(figure.svg, "i")]
    assert len(bars) == len(rows)
    ends = [[float(bar[k]) for bar in bars] for k in (1, 2, 3, 4)]
    names = ("ood_top1_low", "ood_top1_high", "id_top1_low", "id_top1_high")
    for of_ends, name, axis in zip(ends, names, (1, 1, 0, 0), strict=True):
        centers, at = [point[axis] for point in points], [row[name[: name.rindex("_")]] for row in rows]
        assert_in_proportion([*centers, *of_ends], [*at, *(row[name] for row in rows)])
    assert rows[0]["method"] == "fp"
    (line,) = (places(path) for path in paths(figure.svg, "compared"))
    (x, y) = points[0]
    (a, b), (c, d) = line[0], line[-1]
    assert y == pytest.approx(b + (d - b) * (x - a) / (c - a), abs=3 * PIXEL)
    flat = [x for ((x, _),) in markers(shown["Top Hessian eigenvalue against OOD"].svg)]
    assert_in_proportion(flat, [row["lambda_max"] for row in rows])
    assert "Size against OOD" not in shown


def test_the_dashed_line_is_that_of_standard_models_where_the_suite_has_one(tmp_path):
    name = "imagenet-v2@1"
    shown, rows = figures(planted(tmp_path, slope=0.1), baseline=name)
    figure = shown["ID against OOD"]
    assert f"85 standard models predict it from ID (line {name})" in figure.note
    points = [place for (place,) in markers(figure.svg)]
    (line,) = (places(path) for path in paths(figure.svg, "compared"))
    by_id = sorted((row["id_top1"], row["ood_top1"], *p) for row, p in zip(rows, points, strict=True))
    by_ood = sorted((row["ood_top1"], p[1]) for row, p in zip(rows, points, strict=True))
    (u, _, a, _), (v, _, b, _) = by_id[0], by_id[-1]
    (r, c), (s, d) = by_ood[0], by_ood[-1]
    for x, y in line[::8]:
        of_id = u + (v - u) * (x - a) / (b - a)
        of_ood = r + (s - r) * (y - c) / (d - c)
        assert of_ood == pytest.approx(predicted(of_id, LINES[name]), abs=0.3)  # two pixels of positions


def test_the_front_is_of_the_smallest_and_best(tmp_path):
    for method, bits, ood in (("fp", "fp", 0.8), ("qat", "8", 0.85), ("qat", "4", 0.7), ("sam", "4", 0.6)):
        put_cost(tmp_path, method, bits, ood, cost(9000, 32 if bits == "fp" else int(bits)))
    put_cost(tmp_path, "ptq", "8", 0.9, None)
    shown, rows = figures(Store(tmp_path))
    figure = shown["Size against OOD"]
    assert figure.note.endswith("Not shown, without a cost: m ptq 8.")
    rows = [row for row in rows if row["method"] != "ptq"]
    points = {(r["method"], r["bits"]): p for r, (p,) in zip(rows, markers(figure.svg), strict=True)}
    (stairs,) = paths(figure.svg, "front")
    (x, y), (to, up) = points["qat", "4"], points["qat", "8"]
    assert stairs == f"M{x:.1f} {y:.1f}H{to:.1f}V{up:.1f}"
    labels = re.findall(r'text-anchor="middle">([^<]+)</text>', figure.svg)
    assert {"4", "8", "fp"} <= set(labels)
    assert FRONT + BESIDE in figure.note  # the sentences of `--plot pareto`


def test_full_precision_and_the_method_against_are_shown_first(tmp_path):
    store = Store(tmp_path)
    for place in range(MOST_LINES + 3):
        put(store, replace(CELL, method=f"a{place:02}"), right_of(0, 0.1, {}, [place]))
    for method in ("fp", "qat"):
        put(
            store,
            replace(CELL, method=method, quant="fp" if method == "fp" else "3"),
            right_of(0, 0.1, {}, [99]),
        )
    (section,) = load(store, None)
    found = row_styles_of(section, "qat")
    shown = [one.label for one in found if one.is_shown]
    assert len(shown) == FIRST_SHOWN
    assert {"fp", "qat 3"} <= set(shown)
    assert sum(one.has_lines for one in found) == MOST_LINES
    assert len({(one.style, one.shape) for one in found}) == len(found)
