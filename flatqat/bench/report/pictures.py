"""Pictures of stored results by name, written as PNG, SVG or PDF. The same store gives the same bytes."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.files import write_output
from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.report import pareto_picture
from flatqat.errors import UsageError, choose

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTS: "Mapping[str, Callable[[Sequence[Section], Store], Figure]]" = {"pareto": pareto_picture.drawn}
UNDATED: Mapping[str, Mapping[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


def check_picture(plot: str, output: Path | None) -> Path:
    """Return where a picture goes. Raises UsageError on an unknown name or a file of an unknown kind."""
    choose("plot", plot, PLOTS)
    if output is None or output.suffix not in UNDATED:
        got = "none" if output is None else str(output)
        endings = ", ".join(UNDATED)
        raise UsageError(f"--plot {plot}: expected --output FILE that ends in one of {endings}, got {got}")
    return output


def write_picture(plot: str, sections: Sequence[Section], store: Store, output: Path) -> None:
    """Draw a picture and write it in the format of its suffix, in one step.

    Raises UsageError as `check_picture` does, and StoreError if the records lack what is drawn.
    """
    import matplotlib as mpl

    path = check_picture(plot, output)
    with mpl.rc_context({"svg.hashsalt": "flatqat", "svg.fonttype": "none", "font.size": 9}):
        figure, image = PLOTS[plot](sections, store), io.BytesIO()
        figure.savefig(image, format=path.suffix[1:], dpi=200, metadata=UNDATED[path.suffix])
    write_output(path, image.getvalue())
