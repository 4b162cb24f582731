"""Paste tables of committed results into the README; `--check` only compares.

python scripts/readme.py [--check]
"""

import re
import sys
from pathlib import Path

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- table: (?P<folder>\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """Return the README with every table rendered again."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n{render(Store(ROOT / match['folder']), None, 'md', 'method')}\n{match[3]}"

    return BLOCK.sub(table, text)


def main() -> int:
    """Write the README, or say whether it is out of date."""
    before = README.read_text(encoding="utf-8")
    after = with_tables(before)
    if "--check" in sys.argv[1:]:
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
