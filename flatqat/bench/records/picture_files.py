"""Figures of matplotlib as the bytes of a file: the same figure gives the same bytes."""

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNDATED: Mapping[str, Mapping[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
"""Metadata to leave out of a file, by its suffix."""
DPI = 200
LARGE_RATIO = 20  # of the ends of an axis; one with a larger ratio gets a logarithmic scale


def check_suffix(option: str, file: Path | None, others: Sequence[str] = ()) -> Path:
    """Return where a picture goes. Raises UsageError, with the option's name, on no file or another kind.

    `others` are suffixes of kinds that are no pictures but accepted, too.
    """
    endings = (*UNDATED, *others)
    if file is None or file.suffix not in endings:
        got = "none" if file is None else str(file)
        raise UsageError(f"{option}: expected a file that ends in one of {', '.join(endings)}, got {got}")
    return file


@contextmanager
def drawing() -> Iterator[None]:
    """Draw reproducible figures within the context: text is small and stays text, and no name is random."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where no cache can be written
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "flatqat", "svg.fonttype": "none", "font.size": 9}):
        yield


def as_bytes(figure: "Figure", suffix: str) -> bytes:
    """Return a figure in the format of a suffix; call it within `drawing`."""
    image = io.BytesIO()
    figure.savefig(image, format=suffix[1:], dpi=DPI, metadata=UNDATED[suffix])
    return image.getvalue()
