"""Write the outcomes of the project's own cells, which `bench report --with reference` shows; or compare.

python scripts/reference_pack.py [--check]
"""

import shutil
import sys
import tempfile
from pathlib import Path

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.gate.reference import FOLDER
from flatqat.bench.records.store import Store

ROOT = Path(__file__).parent.parent
PACKS = {"digits-c-v3.json": ROOT / "results" / "first-look"}
"""The results folder that each pack is made from; a new version of a suite gets a pack of its own."""


def main() -> int:
    """Write the packs, or say whether one is out of date."""
    with tempfile.TemporaryDirectory() as folder:
        for name, results in PACKS.items():
            made, stored = Path(folder, name), FOLDER / name
            records = Path(folder) / "results"
            for part in ("data", "records"):  # without weights, whose digests a pack is not to have
                shutil.copytree(results / part, records / part)
            write_baseline(Store(records), made)
            shutil.rmtree(records)
            if "--check" not in sys.argv[1:]:
                stored.write_bytes(made.read_bytes())
            elif not stored.exists() or stored.read_bytes() != made.read_bytes():
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
