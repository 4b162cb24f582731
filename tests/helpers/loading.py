"""Suites by name, and what looking at their data imports."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from flatqat import registry
from flatqat.finding import Finding
from flatqat.suite import Suite


def load(name: str) -> Suite:
    suite: Suite = registry.load(registry.SUITES, name)
    return suite


def stops(name: str, root: Path) -> list[Finding]:
    return [finding for finding in load(name).findings(root) if finding.is_fatal]


def imported_by_verifying(names: Iterable[str], root: Path) -> set[str]:
    """What a fresh interpreter imports for all that a plan asks of suites before it builds images."""
    code = (
        "import sys; from pathlib import Path; from flatqat import registry\n"
        f"root = Path({str(root)!r})\n"
        f"for name in {tuple(names)}:\n"
        "    suite = registry.load(registry.SUITES, name)\n"
        "    assert suite.findings(root); suite.untrainable_reason(root); suite.on_disk(root)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
