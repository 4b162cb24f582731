"""Pictures of a segmentation suite: images, ground truth and what stored cells make of them, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flatqat.bench.cell.environment import choose_device, prepare
from flatqat.bench.cell.restore import restore
from flatqat.bench.gallery.page import write_page
from flatqat.bench.gallery.palette import painted, palette
from flatqat.bench.plan.jobs import members
from flatqat.bench.records.sections import method_label, row_label, sections
from flatqat.bench.records.store import Store
from flatqat.console.progress import progress_for
from flatqat.console.terminal import terminal
from flatqat.errors import UsageError, unknown
from flatqat.models.base import Normalized
from flatqat.quant.apply import cached_weights
from flatqat.spec import IGNORED, Record
from flatqat.suite import Shift, Suite

MOST_SHIFTS = 12
MIDDLE_SEVERITY = 3

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One picture of a row, RGB (H, W, 3), and how many labelled pixels it gets right, in percent."""

    title: str
    picture: Pixels
    accuracy: float | None = None


def gallery(
    names: Sequence[str],
    output: Path,
    results: Path,
    data_root: Path | None,
    *,
    shifts: Sequence[str],
    images: int,
    device: str,
    threads: int,
) -> Path:
    """Write `output`/index.html with its pictures, and a sheet for each shift; returns the page.

    One cell brings its fellows along: the cells of its protocol, bits and seed, and the reference. The images
    are the same fixed choice for all cells. Raises StoreError or UsageError before anything is written.
    """
    store = Store(results)
    records = chosen(names, store)
    (suite,) = members(records[0].cell.suite, records[0].cell.seed)
    suite = suite.on_disk(data_root)
    shown = chosen_shifts(_scored(suite, records), shifts)
    on = choose_device(device)
    prepare(on, threads)
    titles = _titles(records)
    models = {titles[r.cell.id]: restore(r.cell, suite, store, on) for r in records}
    errors = terminal(stderr=True)
    found: dict[str, list[list[Column]]] = {}
    with progress_for(errors).task(f"gallery of {suite.name}", len(shown)) as advance:
        for shift in shown:
            found[shift.name] = rows(shift, suite, models, data_root, images, on)
            advance(1)
    scores = {
        shift.name: {titles[r.cell.id]: r.scores[shift.name][suite.metric].value for r in records}
        for shift in shown
    }
    return write_page(output, suite, found, scores, colours=palette(suite.class_names))


def chosen(names: Sequence[str], store: Store) -> list[Record]:
    """The named cells, of one suite; with a single one those to compare it with. In the order of reports."""
    found = [store.find(name) for name in names]
    suites = list(dict.fromkeys(record.cell.suite for record in found))
    if len(suites) > 1:
        raise UsageError(f"gallery: expected cells of one suite, got some of {', '.join(suites)}")
    for record in found:
        if not record.protocol.get("class_names"):
            raise UsageError(
                f"gallery: expected cells of a segmentation suite, got {record.cell.label} of {suites[0]}"
            )
    ids = {record.cell.id for record in found}
    if len(found) == 1:
        ids |= _fellows(found[0], store)
    return [
        record
        for section in sections(store.records(suites[0]))
        for row in section.rows.values()
        for record in row
        if record.cell.id in ids
    ]


def _scored(suite: Suite, records: Sequence[Record]) -> Suite:
    """The suite with those shifts alone that all records have scores of: the data may have grown since."""
    known = set.intersection(*(set(record.scores) for record in records))
    return replace(suite, shifts=tuple(shift for shift in suite.shifts if shift.name in known))


def chosen_shifts(suite: Suite, names: Sequence[str]) -> list[Shift]:
    """The named shifts; else all, or where these are many those of the middle severity."""
    known = {shift.name: shift for shift in suite.shifts}
    for name in names:
        if name not in known:
            raise unknown(f"shift of {suite.name}", name, known)
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    if len(known) <= MOST_SHIFTS:
        return list(known.values())
    return [shift for shift in suite.shifts if shift.severity in (None, MIDDLE_SEVERITY)]


@torch.inference_mode()
def rows(
    shift: Shift,
    suite: Suite,
    models: dict[str, Normalized],
    data_root: Path | None,
    count: int,
    device: torch.device,
) -> list[list[Column]]:
    """A row an image: the image, its ground truth, the prediction of each model."""
    data, colours = shift.build(data_root).sample(count), palette(suite.class_names)
    found = []
    with cached_weights():
        for image, mask in data.batches(1, device):
            truth = mask[0].cpu().numpy()
            row = [
                Column(title="image", picture=_pixels(image[0])),
                Column(title="ground truth", picture=painted(truth, colours)),
            ]
            for title, model in models.items():
                labels = model.predict(image)[0].argmax(0).cpu().numpy()
                seen = truth != IGNORED
                accuracy = 100 * float((labels == truth)[seen].mean()) if seen.any() else None
                row.append(Column(title=title, picture=painted(labels, colours), accuracy=accuracy))
            found.append(row)
    return found


def _fellows(record: Record, store: Store) -> set[str]:
    """The ids of the cells of the same protocol and seed, with the same bits or in floating point."""
    for section in sections(store.records(record.cell.suite)):
        members = [r for row in section.rows.values() for r in row]
        if any(r.cell.id == record.cell.id for r in members):
            return {
                r.cell.id
                for r in members
                if r.cell.seed == record.cell.seed
                and (r.protocol["reference"] or r.cell.bits == record.cell.bits)
            }
    return set()


def _titles(records: Sequence[Record]) -> dict[str, str]:
    """By cell id; cells that method, bits and seed do not tell apart show their ids."""
    found = {r.cell.id: f"{row_label((method_label(r), r.cell.bits))} seed {r.cell.seed}" for r in records}
    titles = list(found.values())
    return {key: f"{title} ({key})" if titles.count(title) > 1 else title for key, title in found.items()}


def _pixels(image: torch.Tensor) -> NDArray[Any]:
    """An image (3, H, W) in [0, 1] as uint8 (H, W, 3)."""
    return (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
