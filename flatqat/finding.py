"""Findings about the data on disk. Imports the standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `suites verify`.

    Attributes:
        ok: Whether what was checked is right.
        what: What was checked, or what is wrong with it.
        fix: How to fix it.
        partial: Whether the data is usable but incomplete, which is reported.
    """

    ok: bool
    what: str
    fix: str = ""
    partial: bool = False

    @property
    def is_fatal(self) -> bool:
        """Whether the finding stops a run: it is neither `ok` nor `partial`."""
        return not (self.ok or self.partial)
