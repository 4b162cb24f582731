"""Write corrupted copies of images to disk, in the layout and with the JPEG quality of ImageNet-C.

    TO/<corruption>/<severity>/<name>        JPEG, quality 85, one for each source image
    TO/<corruption>/<severity>.sha256        hash and name of each, written last
    TO/manifest.json                         what the folder was made from, written first

Every file is renamed into place, so every existing file is complete, and the same call resumes an interrupted
one, whose temporary files are overwritten. Several calls may write to one folder; of those that want the same
severity, one works and the others wait. `sha256sum -c ../<severity>.sha256`, run inside a severity's folder,
checks it. Source: `make_imagenet_c.py` of hendrycks/robustness.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image

from flatqat.data.corruptions import photographs
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import Table
from flatqat.data.images.encoded import Pixels
from flatqat.data.images.entries import has_folder
from flatqat.data.tensors.image_data import ImageData
from flatqat.data.tensors.reading import read_ahead
from flatqat.errors import DataError, listed
from flatqat.locks import only_one

QUALITY = 85
BATCH_SIZE = 64
MOST_SHOWN = 30  # characters of a value in a message
Advance = Callable[[int], None]


def generate(
    data: ImageData,
    names: Sequence[str],
    to: Path,
    *,
    corruption: str,
    severity: int,
    table: Table,
    workers: int = 1,
    advance: Advance = lambda n: None,
) -> None:
    """Write one severity of one corruption of every image to the folder `to`; existing files are kept.

    `names` are the images' paths below the severity's folder. `workers` threads decode and write, and
    `advance` is called with the number of images that are newly done.

    Raises DataError if the folder was made from other images, or cannot be written.
    """
    folder = to / corruption / str(severity)
    try:
        with only_one(to):
            _claim(to, data, names, table)
        with only_one(folder):
            _write_missing(data, names, folder, corruption, severity, table, workers, advance)
    except OSError as error:
        raise DataError(
            f"{to}: expected a writable folder with free space, got: {error.strerror or error}; "
            "fix that and run the same command, which resumes"
        ) from error


def _write_missing(
    data: ImageData,
    names: Sequence[str],
    folder: Path,
    corruption: str,
    severity: int,
    table: Table,
    workers: int,
    advance: Advance,
) -> None:
    """Write the images that are not in a severity's folder, then the hashes of all.

    A file that is not the one whose hash was recorded is written again.
    """
    hashes = folder.with_name(f"{severity}.sha256")
    there, recorded = _names_below(folder, names), _recorded(hashes)
    if recorded is not None:
        there = {name for name in there.intersection(names) if _digest(folder / name) == recorded.get(name)}
    todo = torch.tensor([index for index, name in enumerate(names) if name not in there])
    advance(len(data) - len(todo))
    if recorded is not None and not len(todo):
        return
    for parent in sorted({(folder / name).parent for name in names}):
        parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        parts = [part for part in todo.split(BATCH_SIZE) if len(part)]
        batches = read_ahead(((data, part) for part in parts), "cpu", workers)
        for part, (images, _) in zip(parts, batches, strict=True):
            pixels = (images * 255).round().byte()
            corrupted = corrupt(pixels, data.ids[part], name=corruption, severity=severity, table=table)
            arrays = corrupted.permute(0, 2, 3, 1).contiguous().numpy()
            paths = [folder / names[index] for index in part.tolist()]
            list(pool.map(_write_jpeg, arrays, paths))
            advance(len(part))
        digests = pool.map(_digest, [folder / name for name in names])
        lines = [f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True)]
    _write(hashes, os.fsencode("".join(lines)))


def _recorded(hashes: Path) -> dict[str, str] | None:
    """Return the hashes in a file by the names of the images; None where there is no file."""
    if not hashes.exists():
        return None
    lines = os.fsdecode(hashes.read_bytes()).splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _names_below(folder: Path, names: Sequence[str]) -> set[str]:
    """Return the names of the files that are there, each folder of `names` listed once."""
    there: set[str] = set()
    for parent in {Path(name).parent for name in names}:
        if has_folder(folder / parent):
            there |= {str(parent / file) for file in os.listdir(folder / parent)}
    return there


def _claim(to: Path, data: ImageData, names: Sequence[str], table: Table) -> None:
    """Write what the folder is made from, or compare it with what an earlier call wrote."""
    path = to / "manifest.json"
    images = "\n".join(f"{name} {image_id}" for name, image_id in zip(names, data.ids.tolist(), strict=True))
    manifest = {
        "images": len(names),
        "source": hashlib.sha256(os.fsencode(images) + data.fingerprint().encode()).hexdigest(),
        "severities": table,
        "frost": photographs.in_use(),
        "jpeg_quality": QUALITY,
    }
    if not path.exists():
        _write(path, json.dumps(manifest, indent=2).encode() + b"\n")
    elif (written := _read(path)) != manifest:
        other = [
            f"{key} ({str(written.get(key))[:MOST_SHOWN]}, not {str(manifest.get(key))[:MOST_SHOWN]})"
            for key in manifest | written
            if written.get(key) != manifest.get(key)
        ]
        raise DataError(
            f"{to}: expected a new folder or one made from these {len(names)} images in the same way, got "
            f"one with another {listed(other)}; choose another --to"
        )


def _read(path: Path) -> dict[str, object]:
    try:
        written = json.loads(path.read_bytes())
        if isinstance(written, dict):
            return written
        cause = "another value"
    except (ValueError, RecursionError) as error:
        cause = str(error)
    raise DataError(f"{path}: expected a JSON object, got {cause}; choose another --to, or remove the folder")


def _write_jpeg(pixels: Pixels, path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
