"""Text made safe for terminals and logs: names and reasons may come from a stranger's files."""

import re

COMMAND = re.compile(r"::(?=[\w-]+[^:]*::)|##(?=\[)")
"""What begins a line that a CI service takes as a command: `::error file=x::text`, `##[error]text`."""


def printable(text: str) -> str:
    """Return text as one line that neither a terminal nor a CI service takes as a command."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)
    return COMMAND.sub(lambda match: " ".join(match[0]), shown)


def printable_lines(text: str) -> str:
    """Return text as `printable` does, its line breaks kept."""
    return "\n".join(map(printable, text.split("\n")))


def bytes_in_words(size: float) -> str:
    """Return bytes in words: `980 B`, `1.2 MB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
