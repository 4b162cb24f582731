"""How plots tell the rows of a section apart: by color and shape of the method and dash of the bits."""

from collections.abc import Sequence
from dataclasses import dataclass

from flatqat.bench.records.sections import RowKey, Section, names_of, row_label
from flatqat.bench.report.html import svg

COLORS, DASHES = 8, 4  # of the style sheet
FIRST_SHOWN = 6  # lines that are drawn before a reader chooses
MOST_LINES = 24  # rows that have lines at all, so that a page stays small
SWATCH = 26.0  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStyle:
    """One (method, bits) in all plots of a section.

    Attributes:
        place: Its place among the rows.
        method: The method's name in tables.
        bits: Its bits.
        style: The classes of the style sheet.
        shape: The shape of its markers.
        is_shown: Whether its lines are shown at first.
    """

    place: int
    method: str
    bits: str
    style: str
    shape: int
    is_shown: bool

    @property
    def label(self) -> str:
        """The name in legends."""
        return row_label((self.method, self.bits))

    @property
    def has_lines(self) -> bool:
        """Whether it is drawn where every row is a line."""
        return self.place < MOST_LINES

    def group(self, tip: str, *paths: str, hides: bool = False) -> str:
        """Return marks that show a text to a pointer; those that hide are drawn if the reader chose them."""
        name = f"{self.style} off" if hides and not self.is_shown else self.style
        return svg.tag("g", svg.title(tip), *paths, data_row=self.place, class_=name)

    @property
    def swatch(self) -> str:
        """Its line and marker for a legend."""
        middle = SWATCH / 2
        paths = [
            svg.tag("path", class_="l", d=svg.line([(1.0, 6.0), (SWATCH - 1, 6.0)])),
            svg.tag("path", class_="m", d=svg.marker(self.shape, middle, 6.0)),
        ]
        marks = svg.tag("g", *paths, class_=self.style)
        return svg.tag("svg", marks, viewBox=f"0 0 {SWATCH:.0f} 12", aria_hidden="true")


def row_styles_of(section: Section, against: str) -> list[RowStyle]:
    """Return the styles of all rows; the reference, the method `against` and the first others show."""
    keys = list(section.rows)
    methods = list(dict.fromkeys(method for method, _ in keys))
    widths = list(dict.fromkeys(bits for key in keys if key != section.reference for bits in key[1:]))
    chosen = [key for key in keys if key == section.reference or against in names_of(key[0])]
    shown = set(_first([*chosen, *keys], FIRST_SHOWN))
    found = []
    for place, (method, bits) in enumerate(keys):
        kind = methods.index(method)
        width = widths.index(bits) if (method, bits) != section.reference else 0
        style = f"k{kind % COLORS} d{width % DASHES}" + " h" * (width % 2)
        shape = kind + kind // COLORS
        is_shown = (method, bits) in shown and place < MOST_LINES
        found.append(
            RowStyle(place=place, method=method, bits=bits, style=style, shape=shape, is_shown=is_shown)
        )
    return found


def _first(keys: Sequence[RowKey], count: int) -> list[RowKey]:
    return list(dict.fromkeys(keys))[:count]
