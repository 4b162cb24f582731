"""Stored outcomes to set results beside: those that come with flatqat, or any file of a baseline.

A pack is a baseline, so that everybody can write one (`flatqat bench baseline`) and check against one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import flatqat
from flatqat.bench.gate.baseline import BaselineCell, read_baseline
from flatqat.bench.gate.series import Series, series_of
from flatqat.bench.records.sections import RowKey, row_key, section_title

FOLDER = Path(flatqat.__file__).parent / "reference"
OWN = Path("reference")
"""The word that stands for what comes with flatqat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Stored series, in the sections and rows that their cells have in tables.

    Attributes:
        name: What the pack is called.
        sections: The series by the title of their section, and then by (method, bits).
        unknown: Labels of cells that an old file has by name only, which says too little to compare them.
    """

    name: str
    sections: Mapping[str, Mapping[RowKey, list[Series]]]
    unknown: list[str]

    @classmethod
    def of(cls, name: str, cells: Iterable[BaselineCell]) -> "Pack":
        """Return the pack of some cells."""
        known = [(stored, stored.packed.cell) for stored in cells]
        sections: dict[str, dict[RowKey, list[Series]]] = {}
        for series in series_of(stored.as_run(cell) for stored, cell in known if cell):
            rows = sections.setdefault(section_title(series.cell), {})
            rows.setdefault(row_key(series.cell), []).append(series)
        unknown = sorted(stored.label for stored, cell in known if cell is None)
        return cls(name=name, sections=sections, unknown=unknown)


def read_pack(path: Path) -> Pack:
    """Return the pack in a file, or with the path `reference` what comes with flatqat.

    Raises StoreError on a file that is missing or damaged.
    """
    if path != OWN:
        return Pack.of(str(path), read_baseline(path).values())
    files = sorted(FOLDER.glob("*.json"))
    return Pack.of(str(OWN), (cell for file in files for cell in read_baseline(file).values()))
