"""What the acceptance found, on the screen and in files, written as it comes."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One check (`ok` true or false) or one figure (`ok` None), with its values by name."""

    what: str
    ok: bool | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


def check(what: str, ok: bool, **values: Any) -> Entry:
    return Entry(what, bool(ok), values)


def figure(what: str, **values: Any) -> Entry:
    return Entry(what, None, values)


class Ledger:
    """All entries, by section."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.began = folder, time.monotonic()
        self.entries: list[tuple[str, Entry]] = []

    def add(self, section: str, entry: Entry) -> None:
        self.entries.append((section, entry))
        mark = {True: "ok", False: "FAILED", None: ""}[entry.ok]
        print(f"{mark:<7}{section:<14}{entry.what:<48}{_line(entry.values)}", flush=True)
        found = [{"section": s, "what": e.what, "ok": e.ok, **e.values} for s, e in self.entries]
        (self.folder / "gpu.json").write_text(json.dumps(found, indent=1, default=str) + "\n")
        rows = [
            f"| {s} | {e.what} | {({True: 'ok', False: '**failed**'}).get(e.ok, '')} | {_line(e.values)} |"
            for s, e in self.entries
        ]
        head = ["| section | what | check | values |", "| --- | --- | --- | --- |"]
        (self.folder / "gpu.md").write_text("\n".join([*head, *rows]) + "\n")

    def close(self) -> int:
        """Print the sum; returns the exit code."""
        checks = [entry.ok for _, entry in self.entries if entry.ok is not None]
        failed, seconds = checks.count(False), time.monotonic() - self.began
        print(f"{len(checks)} checks, {failed} failed, {seconds:.0f} s; {self.folder / 'gpu.md'}")
        return 1 if failed or not checks else 0


def _line(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return (
        f"{value:.4g}" if isinstance(value, float) else str(value)[:200].replace("|", "/").replace("\n", " ")
    )
