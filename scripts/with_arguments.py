"""Run a command with the arguments in $ARGUMENTS behind its own; action.yml takes them from a workflow.

ARGUMENTS="--method fp,qat" python scripts/with_arguments.py flatqat bench run
"""

import os
import shlex
import sys


def main() -> None:
    """Become the command. They are quoted as in a shell, and no shell looks at them."""
    text = os.environ["ARGUMENTS"]
    try:
        words = shlex.split(text)
    except ValueError as error:
        command = shlex.join(sys.argv[1:4])
        sys.exit(f"error: arguments of {command}: expected a command line, got {text!r} ({error})")
    os.execvp(sys.argv[1], [*sys.argv[1:], *words])


if __name__ == "__main__":
    main()
