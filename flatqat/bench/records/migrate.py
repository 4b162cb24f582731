"""Old records rewritten in today's schema."""

from flatqat.bench.records.files import write_atomically
from flatqat.bench.records.record_json import parse_record, read_json, record_to_dict, to_json
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.spec import SCHEMA


def migrate(store: Store) -> tuple[int, int]:
    """Rewrite every record of an older schema in place; returns how many records there are, and were older.

    All are read first, so nothing is changed if one is damaged. Raises StoreError.
    """
    paths = store.record_paths()
    if not paths:
        raise StoreError(f"expected records in {store.root / 'records'}, got none; name a results folder")
    older = []
    for path in paths:
        data = read_json(path)
        schema = data.get("schema")
        record = parse_record(data, path)  # a damaged record of today's schema is an error, too
        if schema != SCHEMA:
            older.append((path, record))
    for path, record in older:
        write_atomically(path, to_json(record_to_dict(record)))
    return len(paths), len(older)
