"""The check of the gate as JSON, with everything that it found."""

import json
from dataclasses import asdict

from flatqat.bench.gate.check import Checked
from flatqat.bench.gate.compare import Rules
from flatqat.bench.gate.wording import MEANING


def as_json(checked: Checked, rules: Rules) -> str:
    """Return a check as JSON."""
    missing = [{"cell": cell, "reason": reason} for cell, reason in checked.missing]
    fields = {"meaning": MEANING[checked.code], **asdict(checked), "missing": missing, "rules": asdict(rules)}
    return json.dumps(fields, indent=2, allow_nan=False) + "\n"
