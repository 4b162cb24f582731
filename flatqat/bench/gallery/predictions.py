"""Pictures of a segmentation suite: images, ground truth and predictions of stored cells, side by side."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from flatqat.bench.cell.adapted import check_not_adapted
from flatqat.bench.cell.environment import choose_device, prepare
from flatqat.bench.cell.restore import restore
from flatqat.bench.cell.trusted import trusted_model
from flatqat.bench.gallery.page import Column, Pixels, write_page
from flatqat.bench.plan.jobs import suite_of
from flatqat.bench.records.pictures import few
from flatqat.bench.records.revisions import newest
from flatqat.bench.records.sections import row_key, row_label, sections
from flatqat.bench.records.store import Store
from flatqat.console.progress import progress_for
from flatqat.console.terminal import terminal
from flatqat.data.images.palette import painted, palette
from flatqat.errors import UsageError, choose
from flatqat.metrics.rescored import share_right
from flatqat.metrics.segmentation import predicted
from flatqat.models.base import Normalized
from flatqat.quant.apply import cached_weights
from flatqat.spec import IGNORED, Record
from flatqat.suite import Shift, Suite


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
    named: Sequence[str] = (),
) -> Path:
    """Write `output`/index.html with its pictures, and a sheet for each shift; returns the page.

    A single cell is shown with those to compare it with, see `chosen`. The images are the same fixed choice
    for all cells, out of those that all were scored on. Code runs only of models that are `named`, see
    `trusted_model`. Raises StoreError or UsageError before anything is written.
    """
    store = Store(results)
    records = chosen(names, store)
    suite = suite_of(records[0].cell).on_disk(data_root)
    shown = chosen_shifts(_scored(suite, records), shifts)
    count = min([images, *(record.cell.limit or images for record in records)])
    torch_device = choose_device(device)
    prepare(torch_device, threads)
    titles = _titles(records)
    sources = {r.cell.id: trusted_model(r.cell, suite, named) for r in records}
    models = {
        titles[r.cell.id]: restore(
            r.cell, suite, store, torch_device, model=sources[r.cell.id], recorded=r.train.weights
        )
        for r in records
    }
    rows_by_shift: dict[str, list[list[Column]]] = {}
    with progress_for(terminal(stderr=True)).task(f"gallery of {suite.name}", len(shown)) as advance:
        for shift in shown:
            rows_by_shift[shift.name] = rows(shift, suite, models, data_root, count, torch_device)
            advance(1)
    scores = {
        shift.name: {titles[r.cell.id]: r.scores[shift.name][suite.metric].value for r in records}
        for shift in shown
    }
    return write_page(output, suite, rows_by_shift, scores, colors=palette(suite.class_names))


def chosen(names: Sequence[str], store: Store) -> list[Record]:
    """Return the records of the named cells, which are of one suite, in the order of reports.

    A single cell comes with those of its protocol, bits and seed, and with the reference. Raises StoreError
    or UsageError.
    """
    named = [store.find(name) for name in names]
    for record in named:
        check_not_adapted(record.cell)
    suites = list(dict.fromkeys(record.cell.suite for record in named))
    if len(suites) > 1:
        raise UsageError(f"gallery: expected cells of one suite, got some of {', '.join(suites)}")
    for record in named:
        if not record.protocol.class_names:
            raise UsageError(
                f"gallery: expected cells of a segmentation suite, got {record.cell.label} of {suites[0]}"
            )
    ids = {record.cell.id for record in named}
    others = [record for record in newest(store.records(suites[0])) if record.cell.id not in ids]
    rows = [
        [record for row in section.rows.values() for record in row]
        for section in sections([*others, *named], all_revisions=True)
    ]
    if len(named) == 1:
        ids |= {
            record.cell.id for row in rows if named[0] in row for record in row if _compared(record, named[0])
        }
    return [record for row in rows for record in row if record.cell.id in ids]


def _scored(suite: Suite, records: Sequence[Record]) -> Suite:
    """Return the suite with only the shifts that all records have scores of; the data may have grown."""
    scored = set.intersection(*(set(record.scores) for record in records))
    return replace(suite, shifts=tuple(shift for shift in suite.shifts if shift.name in scored))


def chosen_shifts(suite: Suite, names: Sequence[str]) -> list[Shift]:
    """Return the named shifts, or by default all; if these are many, those of the middle severity."""
    by_name = {shift.name: shift for shift in suite.shifts}
    if names:
        kind = f"shift of {suite.name}"
        return [by_name[choose(kind, name, by_name)] for name in dict.fromkeys(names)]
    return [by_name[name] for name in few({shift.name: shift.severity for shift in suite.shifts})]


@torch.inference_mode()
def rows(
    shift: Shift,
    suite: Suite,
    models: dict[str, Normalized],
    data_root: Path | None,
    count: int,
    device: torch.device,
) -> list[list[Column]]:
    """Return a row for each image: the image, its ground truth, and the prediction of each model."""
    data, colors = shift.build(data_root).sample(count), palette(suite.class_names)
    shown = []
    with cached_weights():
        for image, mask in data.batches(1, device):
            truth = mask[0].cpu().numpy()
            row = [
                Column(title="image", picture=_pixels(image[0])),
                Column(title="ground truth", picture=painted(truth, colors)),
            ]
            for title, model in models.items():
                labels = predicted(model.predict(image)[0], IGNORED).cpu().numpy()
                accuracy = share_right(labels, truth)
                row.append(Column(title=title, picture=painted(labels, colors), accuracy=accuracy))
            shown.append(row)
    return shown


def _compared(record: Record, shown: Record) -> bool:
    """Whether a record has the seed and the bits of the one shown, or is the reference."""
    same_bits = record.protocol.reference or record.cell.bits == shown.cell.bits
    return record.cell.seed == shown.cell.seed and same_bits


def _titles(records: Sequence[Record]) -> dict[str, str]:
    """Return a title by cell id, which has the id itself where method, bits and seed are those of another."""
    by_id = {r.cell.id: f"{row_label(row_key(r.cell))} seed {r.cell.seed}" for r in records}
    titles = list(by_id.values())
    return {key: f"{title} ({key})" if titles.count(title) > 1 else title for key, title in by_id.items()}


def _pixels(image: torch.Tensor) -> Pixels:
    """Return an image (3, H, W) in [0, 1] as uint8 (H, W, 3)."""
    pixels: Pixels = (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return pixels
