"""Text made safe for a terminal: names and reasons may come from a stranger's files."""


def printable(text: str) -> str:
    """Return text on one line without control characters, which steer a terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """Return text without control characters, its line breaks kept."""
    return "\n".join(map(printable, text.split("\n")))
