"""The gallery's files: a page with a picture of each prediction, and a sheet of each shift as one PNG."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from flatqat.bench.gallery.column import Column, Pixels
from flatqat.bench.gallery.palette import Color
from flatqat.bench.records.store import write_atomically
from flatqat.suite import Suite

MARGIN, HEADER, CAPTION = 6, 22, 14  # pixels
LEAST_WIDTH = 240  # smaller pictures are enlarged, pixel by pixel
LONGEST = 60  # characters of a title in the name of a file

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ suite.name }}: gallery</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem; color: #222; background: #fff; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
.wide { overflow-x: auto; } table { border-spacing: 6px; }
th { font-weight: 600; text-align: left; vertical-align: bottom; white-space: nowrap; }
td { font-size: .8rem; color: #555; vertical-align: top; }
img { display: block; image-rendering: pixelated; width: {{ width }}px; }
.legend span { display: inline-block; margin: 0 1rem .2rem 0; white-space: nowrap; }
.legend i { display: inline-block; width: .9em; height: .9em; margin-right: .35em; border: 1px solid #0003; }
small { color: #666; font-weight: 400; }
</style>
<h1>{{ suite.title }}</h1>
<p>{{ suite.protocol }}.</p>
<p class="legend">{% for name, color in legend %}
<span><i style="background: rgb{{ color }}"></i>{{ name }}</span>
{% endfor %}<span><i style="background: #000"></i>not labeled</span></p>
<nav>{% for shift in shifts %}<a href="#{{ shift.name }}">{{ shift.name }}</a> {% endfor %}</nav>
{% for shift in shifts %}
<h2 id="{{ shift.name }}">{{ shift.name }} <small><a href="{{ shift.sheet }}">as one picture</a></small></h2>
<div class="wide"><table>
<tr>{% for head in shift.heads %}
<th>{{ head.title }}<br><small>{{ head.score }}&nbsp;</small></th>{% endfor %}</tr>
{% for row in shift.rows %}<tr>{% for cell in row %}
<td><img src="{{ cell.file }}" alt="{{ cell.title }}" loading="lazy">{{ cell.caption }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% endfor %}
</html>
"""


def write_page(
    output: Path,
    suite: Suite,
    rows_by_shift: Mapping[str, Sequence[Sequence[Column]]],
    scores: Mapping[str, Mapping[str, float | None]],
    *,
    colors: Sequence[Color],
) -> Path:
    """Write pictures, sheets and page under `output`; returns the page.

    `scores[shift][title]` is the metric in percent. Raises StoreError if a file cannot be written.
    """
    from jinja2 import Environment

    shifts, width = [], LEAST_WIDTH
    for name, rows in rows_by_shift.items():
        stem, heads = _stem(name), rows[0]
        width = max(LEAST_WIDTH, heads[0].picture.shape[1] // 2)
        sheet = f"{stem}.png"
        write_atomically(output / sheet, _sheet(rows, scores[name], suite.metric))
        cells = [
            [_cell(output, f"{stem}/{y}-{x}-{_stem(c.title)}.png", c) for x, c in enumerate(row, start=1)]
            for y, row in enumerate(rows, start=1)
        ]
        titles = [{"title": c.title, "score": _score(scores[name], c.title, suite.metric)} for c in heads]
        shifts.append({"name": name, "sheet": sheet, "heads": titles, "rows": cells})
    legend = list(zip(suite.class_names, colors, strict=True))
    page = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(suite=suite, shifts=shifts, legend=legend, width=width)
    )
    write_atomically(output / "index.html", page.encode())
    return output / "index.html"


def _cell(output: Path, file: str, column: Column) -> dict[str, str]:
    write_atomically(output / file, _png(column.picture))
    return {"file": file, "title": column.title, "caption": _caption(column)}


def _sheet(rows: Sequence[Sequence[Column]], scores: Mapping[str, float | None], metric: str) -> bytes:
    """Return all rows of a shift on one canvas as PNG, titles above and accuracies below."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = rows[0][0].picture.shape[:2]
    factor = -(-LEAST_WIDTH // width)
    height, width = factor * height, factor * width
    step_x, step_y = width + MARGIN, height + CAPTION + MARGIN
    canvas = Image.new(
        "RGB", (MARGIN + step_x * len(rows[0]), 2 * HEADER + MARGIN + step_y * len(rows)), "white"
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=13)
    for x, column in enumerate(rows[0]):
        left = MARGIN + x * step_x
        draw.text((left, MARGIN), _fitted(column.title, width, font), fill="black", font=font)
        draw.text((left, HEADER), _score(scores, column.title, metric), fill="#666666", font=font)
    for y, row in enumerate(rows):
        top = 2 * HEADER + y * step_y
        for x, column in enumerate(row):
            picture = Image.fromarray(column.picture).resize((width, height), Image.Resampling.NEAREST)
            canvas.paste(picture, (MARGIN + x * step_x, top))
            draw.text((MARGIN + x * step_x, top + height), _caption(column), fill="#666666", font_size=10)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def _fitted(text: str, width: int, font: object) -> str:
    """Return as much of a title as fits into a column."""
    while len(text) > 4 and font.getlength(text) > width:  # type: ignore[attr-defined]
        text = text[:-4] + "..."
    return text


def _png(picture: Pixels) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _caption(column: Column) -> str:
    return "" if column.accuracy is None else f"{column.accuracy:.1f}% of pixels"


def _score(scores: Mapping[str, float | None], title: str, metric: str) -> str:
    value = scores.get(title)
    return "" if value is None else f"{'mIoU' if metric == 'miou' else metric} {value:.1f}"


def _stem(text: str) -> str:
    """Return a text for the name of a file; titles may share it, so it is not unique."""
    return re.sub(r"[^\w.=-]+", "-", text)[:LONGEST].strip("-")
