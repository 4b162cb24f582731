"""The gallery's files: a page with a picture of each prediction, and a sheet of each shift as one PNG."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.records.files import write_output
from flatqat.data.images.palette import Color
from flatqat.suite import Suite

TEMPLATE = Path(__file__).with_name("page.html")
MARGIN, HEADER, CAPTION = 6, 22, 14  # pixels
LEAST_WIDTH = 240  # smaller pictures are enlarged, pixel by pixel
LONGEST = 60  # characters of a title in the name of a file

Pixels = NDArray[np.uint8]
"""An RGB picture (H, W, 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One picture of a row.

    Attributes:
        title: What it shows.
        picture: The picture.
        accuracy: The share of labeled pixels that a prediction gets right, in percent.
    """

    title: str
    picture: Pixels
    accuracy: float | None = None


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
        write_output(output / sheet, _sheet(rows, scores[name], suite.metric))
        cells = [
            [_cell(output, f"{stem}/{y}-{x}-{_stem(c.title)}.png", c) for x, c in enumerate(row, start=1)]
            for y, row in enumerate(rows, start=1)
        ]
        titles = [{"title": c.title, "score": _score(scores[name], c.title, suite.metric)} for c in heads]
        shifts.append({"name": name, "sheet": sheet, "heads": titles, "rows": cells})
    legend = list(zip(suite.class_names, colors, strict=True))
    template = Environment(autoescape=True, keep_trailing_newline=True).from_string(
        TEMPLATE.read_text("utf-8")
    )
    page = template.render(suite=suite, shifts=shifts, legend=legend, width=width)
    write_output(output / "index.html", page.encode())
    return output / "index.html"


def _cell(output: Path, file: str, column: Column) -> dict[str, str]:
    from PIL import Image

    write_output(output / file, _png(Image.fromarray(column.picture)))
    return {"file": file, "title": column.title, "caption": _caption(column)}


def _sheet(rows: Sequence[Sequence[Column]], scores: Mapping[str, float | None], metric: str) -> bytes:
    """Return all rows of a shift on one canvas as PNG, titles above and accuracies below."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = rows[0][0].picture.shape[:2]
    factor = -(-LEAST_WIDTH // width)
    height, width = factor * height, factor * width
    step_x, step_y = width + MARGIN, height + CAPTION + MARGIN
    size = MARGIN + step_x * len(rows[0]), 2 * HEADER + MARGIN + step_y * len(rows)
    canvas = Image.new("RGB", size, "white")
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
    return _png(canvas)


def _fitted(text: str, width: int, font: object) -> str:
    """Return as much of a title as fits into a column."""
    while len(text) > 4 and font.getlength(text) > width:  # type: ignore[attr-defined]
        text = text[:-4] + "..."
    return text


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _caption(column: Column) -> str:
    return "" if column.accuracy is None else f"{column.accuracy:.1f}% of pixels"


def _score(scores: Mapping[str, float | None], title: str, metric: str) -> str:
    value = scores.get(title)
    return "" if value is None else f"{'mIoU' if metric == 'miou' else metric} {value:.1f}"


def _stem(text: str) -> str:
    """Return a text for the name of a file; titles may share it, so it is not unique."""
    return re.sub(r"[^\w.=-]+", "-", text)[:LONGEST].strip("-")
