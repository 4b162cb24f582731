"""What is wrong with the pictures of a results folder: damage, and pictures that belong to nothing."""

from collections.abc import Iterator

from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.spec import IGNORED, Record


def wrong_predictions(record: Record, store: Store) -> Iterator[str]:
    """Yield how the stored predictions of a cell are not its own. Raises StoreError if they are damaged."""
    path, classes = store.pictures.path(record.cell), len(record.protocol.class_names)
    predicted = store.pictures.read(record)
    if path.exists() and not predicted:
        yield f"{path}: expected predictions of the outcomes of its record, got others"
    for shift, maps in predicted.items():
        if shift not in record.scores:
            yield f"{path}: expected shifts that its record has scores of, got {shift}"
        for place, labels in maps.items():
            if (odd := labels[(labels >= classes) & (labels != IGNORED)]).size:
                yield f"{path}: {shift}/{place}: expected classes below {classes}, got {odd.max()}"


def wrong_pictures(store: Store) -> Iterator[str]:
    """Yield what is wrong with pictures beyond those of each record: without a record, or damaged images."""
    for path in store.pictures.paths():
        if not (store.root / "records" / path.parent.name / f"{path.stem}.json").exists():
            yield f"{path}: expected a record of its name, got none"
    for path in store.pictures.seen_paths():
        try:
            store.pictures.read_seen(path)
        except StoreError as error:
            yield str(error)
