"""Write docs/schema/record.json, the JSON Schema of records; `--check` only compares.

python scripts/record_schema.py [--check]
"""

import json
import sys
from pathlib import Path

from flatqat.spec.json_schema import record_schema

FILE = Path(__file__).parent.parent / "docs" / "schema" / "record.json"


def main() -> int:
    """Write the schema, or say whether it is out of date."""
    text = json.dumps(record_schema(), indent=2, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        return int(not FILE.is_file() or FILE.read_text(encoding="utf-8") != text)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
