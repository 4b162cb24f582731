"""What verifying finds: one line about the data on disk. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `suites verify`: what was looked at, whether it is right, and how to mend it.

    What is `partial` is usable and is told to the user: some images of a set are missing, or its training
    images. What is neither `ok` nor `partial` stops a run.
    """

    ok: bool
    what: str
    fix: str = ""
    partial: bool = False

    @property
    def is_fatal(self) -> bool:
        return not (self.ok or self.partial)
