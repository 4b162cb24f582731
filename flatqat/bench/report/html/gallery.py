"""Pictures of a segmentation suite on the page: for a few images of each shift the truth and the predictions.

They are those that were kept when the cells were scored, see `flatqat.bench.records.pictures`.
"""

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatqat.bench.records.pictures import MIDDLE_SEVERITY, Labels, Predicted, SeenImage, few
from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.report.html.row_styles import RowStyle
from flatqat.console.printable import printable
from flatqat.data.images.palette import IGNORED_COLOR, Color, as_png, palette
from flatqat.metrics.rescored import share_right
from flatqat.spec import Record

MOST_BYTES = 1_000_000  # of all pictures of a page
MOST_ROWS = 12
AT_ONCE = 6  # shifts that are shown below each other until a reader chooses one
UNLABELED = "not labeled"
NONE = (
    "No pictures are stored here: compact copies have none, nor have cells of older versions. "
    "`flatqat bench run --rerun` computes cells again and keeps some, and `flatqat bench gallery` makes them "
    "from weights and data."
)
SEED = "Predictions of seed {}. Percentages are of the labeled pixels of these small pictures."
FULL = "Left out: {} more stored image{}; a page has {:.0f} MB of pictures at most."


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image of the page.

    Attributes:
        title: What it shows.
        alt: The same for readers who do not see it.
        source: Its `data:` URI.
        height: Its pixels.
        width: Its pixels.
        right: The share of labeled pixels that a prediction gets right, as text.
        row: The row that predicted it.
    """

    title: str
    alt: str
    source: str
    height: int
    width: int
    right: str = ""
    row: RowStyle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """An image of a shift with its truth and all predictions.

    Attributes:
        shift: The place of its shift among those of the gallery.
        number: The number of the image, from 1.
        title: The name of both.
        pictures: The image, the truth and the predictions.
    """

    shift: int
    number: int
    title: str
    pictures: Sequence[Picture]

    @property
    def bytes(self) -> int:
        """What it adds to the page, without its words."""
        return sum(len(picture.source) for picture in self.pictures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The pictures of a section; without any, a note alone.

    Attributes:
        shifts: The names of the shifts that it shows.
        numbers: The numbers of the images of each shift.
        shots: The pictures, by shift and number.
        legend: The classes with the colors of the style sheet.
        note: What is shown, and what is left out.
    """

    note: str
    shifts: Sequence[str] = ()
    numbers: Sequence[int] = ()
    shots: Sequence[Shot] = ()
    legend: Sequence[tuple[str, str]] = ()

    @property
    def chosen(self) -> int | None:
        """The place of the shift that is shown at first, or None for all."""
        return None if len(self.shifts) <= AT_ONCE else 0


def gallery_of(section: Section, store: Store, styles: Sequence[RowStyle], room: int) -> Gallery | None:
    """Return the pictures of a section, of `room` bytes at most; None if its task has none."""
    first = section.first
    if not (names := first.protocol.class_names):
        return None
    chosen = sorted(sorted(styles, key=lambda one: not one.is_shown)[:MOST_ROWS], key=lambda one: one.place)
    rows = {one: _stored(section.rows.get((one.method, one.bits), ()), store) for one in chosen}
    predicted = {one: of for one, (_, of) in rows.items() if of}
    shifts = sorted(first.protocol.shifts.items(), key=lambda item: item[0] != "id")  # the others as they are
    every = {name: info.severity for name, info in shifts if name != "val"}
    key = first.data_key
    seen = {
        shift: of for shift in few(every) if (of := _shown(store.pictures.seen(key, shift), predicted, shift))
    }
    if not seen:
        return Gallery(note=NONE)
    colors = palette(names)
    shots = _fitting(_shots(seen, predicted, colors), room)
    seeds = sorted({seed for seed, of in rows.values() if of})
    notes = [SEED.format(", ".join(map(str, seeds))), *_left_out(len(styles), rows, predicted, every, seen)]
    if more := sum(map(len, seen.values())) - len(shots):
        notes.append(FULL.format(more, "s" * (more > 1), MOST_BYTES / 1e6))
    legend = [*zip(names, colors, strict=True), (UNLABELED, IGNORED_COLOR)]
    return Gallery(
        note=" ".join(notes),
        shifts=[printable(shift) for shift in seen],
        numbers=sorted({shot.number for shot in shots}),
        shots=sorted(shots, key=lambda shot: (shot.shift, shot.number)),
        legend=[(printable(name), "#{:02x}{:02x}{:02x}".format(*color)) for name, color in legend],
    )


def _stored(records: Sequence[Record], store: Store) -> tuple[int, Predicted]:
    """Return the first seed that has pictures, and these; none if no seed has."""
    found = ((record.cell.seed, store.pictures.read(record)) for record in records)
    return next((pair for pair in found if pair[1]), (0, {}))


def _shown(
    seen: Mapping[int, SeenImage], predicted: Mapping[RowStyle, Predicted], shift: str
) -> dict[int, SeenImage]:
    """Return the images of a shift that a row has a prediction of, of the same size."""
    return {
        at: one
        for at, one in sorted(seen.items())
        if any(_fits(of.get(shift, {}).get(at), one) for of in predicted.values())
    }


def _fits(labels: Labels | None, one: SeenImage) -> bool:
    return labels is not None and labels.shape == one.truth.shape


def _shots(
    seen: Mapping[str, Mapping[int, SeenImage]],
    predicted: Mapping[RowStyle, Predicted],
    colors: Sequence[Color],
) -> Iterator[Shot]:
    """Yield the first image of each shift, then the second ones, and so on."""
    for number in range(1, 1 + max(map(len, seen.values()))):
        for place, (shift, images) in enumerate(seen.items()):
            for at in [*images][number - 1 : number]:
                title = f"{printable(shift)}, image {number}"
                maps = {one: of.get(shift, {}).get(at) for one, of in predicted.items()}
                pictures = [*_pictures(images[at], maps, title, colors)]
                yield Shot(shift=place, number=number, title=title, pictures=pictures)


def _pictures(
    one: SeenImage, maps: Mapping[RowStyle, Labels | None], title: str, colors: Sequence[Color]
) -> Iterator[Picture]:
    height, width = one.truth.shape

    def picture(name: str, kind: str, data: bytes, right: str = "", row: RowStyle | None = None) -> Picture:
        source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        alt = f"{name}: {title}" + (f", {right}" if right else "")
        return Picture(title=name, alt=alt, source=source, height=height, width=width, right=right, row=row)

    yield picture("image", "jpeg", one.image)
    yield picture("truth", "png", as_png(one.truth, colors))
    for row, labels in maps.items():
        if labels is not None and _fits(labels, one):
            yield picture(printable(row.label), "png", as_png(labels, colors), _right(labels, one.truth), row)


def _right(labels: Labels, truth: Labels) -> str:
    share = share_right(labels, truth)
    return "" if share is None else f"{share:.1f}% right"


def _fitting(shots: Iterator[Shot], room: int) -> list[Shot]:
    """Return the first shots, as many as have room."""
    found: list[Shot] = []
    for shot in shots:
        room -= shot.bytes
        if room < 0:
            break
        found.append(shot)
    return found


def _left_out(
    count: int,
    rows: Collection[RowStyle],
    predicted: Collection[RowStyle],
    every: Mapping[str, int | None],
    seen: Collection[str],
) -> Iterator[str]:
    """Yield what the gallery lacks, a sentence each."""
    if without := [printable(one.label) for one in rows if one not in predicted]:
        yield f"No pictures are stored of {', '.join(without)}."
    if count > len(rows):
        yield f"Of {count} rows {len(rows)} are shown, first those with lines in the plots."
    if len(few(every)) < len(every):
        yield f"Of {len(every)} sets those of severity {MIDDLE_SEVERITY} are shown."
    if lacking := [printable(shift) for shift in few(every) if shift not in seen]:
        yield f"No pictures are stored of {', '.join(lacking)}."
