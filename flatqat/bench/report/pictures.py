"""Pictures of stored results by name, written as PNG, SVG or PDF. The same store gives the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.bench.records.files import write_output
from flatqat.bench.records.picture_files import as_bytes, check_suffix, drawing
from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.report import pareto_picture, scatter_picture, severity_picture
from flatqat.errors import choose

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTS: "Mapping[str, Callable[[Sequence[Section], Store], Figure]]" = {
    "severity": severity_picture.scores,
    "tax": severity_picture.tax,
    "id-ood": scatter_picture.id_ood,
    "flatness": scatter_picture.flatness,
    "pareto": pareto_picture.drawn,
}


def check_picture(plot: str, output: Path | None) -> Path:
    """Return where a picture goes. Raises UsageError on an unknown name or a file of an unknown kind."""
    choose("plot", plot, PLOTS)
    return check_suffix(f"--plot {plot}: --output", output)


def write_picture(plot: str, sections: Sequence[Section], store: Store, output: Path) -> None:
    """Draw a picture and write it in the format of its suffix, in one step.

    Raises UsageError as `check_picture` does, and StoreError if the records lack what is drawn.
    """
    path = check_picture(plot, output)
    with drawing():
        image = as_bytes(PLOTS[plot](sections, store), path.suffix)
    write_output(path, image)
