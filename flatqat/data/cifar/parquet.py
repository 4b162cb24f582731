"""The Hugging Face layout: parquet shards with a column of encoded images and a column of labels.

<split>-00000-of-00001.parquet    <image>: struct<bytes: binary, path: string>, <label>: int64
"""

from pathlib import Path
from typing import Any

import numpy as np

from flatqat.data.images.encoded import EncodedImages
from flatqat.data.images.entries import check_regular, unreadable
from flatqat.errors import DataError


def read(files: list[Path], *, image: str, label: str) -> EncodedImages:
    """List the rows of all shards, in the order of the file names.

    Raises DataError if a file is not parquet or lacks the columns, or a row lacks its image or label.
    """
    shards = [(file, *_columns(file, image, label)) for file in sorted(files)]
    content = [data for _, images, _ in shards for data in images]
    rows = [(file, row) for file, images, _ in shards for row in range(len(images))]
    return EncodedImages(
        source=", ".join(str(file) for file, _, _ in shards),
        labels=np.concatenate([labels for _, _, labels in shards]),
        content=content.__getitem__,
        name=lambda index: f"{rows[index][0]}, row {rows[index][1]}",
    )


def _columns(file: Path, image: str, label: str) -> tuple[list[bytes], Any]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    check_regular(file)
    try:
        schema = pq.read_schema(file)
        if not {image, label} <= set(schema.names):
            got = f"{', '.join(schema.names)}; this is another dataset"
            raise DataError(f"{file}: expected the columns {image!r} and {label!r}, got {got}")
        table = pq.read_table(file, columns=[image, label])
        images = pc.struct_field(table[image], "bytes")
        labels = table[label].cast(pa.int64())
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: expected a parquet file of images, got {_reason(file, error)}") from error
    for column, values in ((image, images), (label, labels)):
        if values.null_count:
            row = values.is_null().index(True).as_py()
            raise DataError(f"{file}, row {row}: expected a value in {column!r}, got none; download it again")
    return images.to_pylist(), labels.to_numpy()


def _reason(file: Path, error: Exception) -> str:
    try:
        with file.open("rb") as opened:
            if opened.read(20).startswith(b"version https://git"):
                return "a Git LFS pointer; run git lfs pull where it was cloned"
    except OSError as refused:
        raise unreadable(refused) from refused
    return f"{' '.join(str(error).split())}; download it again"
