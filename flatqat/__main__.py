"""The program: `flatqat`, or `python -m flatqat`."""

import sys

from flatqat.exit_codes import INTERRUPTED


def main() -> None:
    """Run the command line; an interrupt while it is imported, which takes a moment, is one line, too."""
    try:
        from flatqat.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
