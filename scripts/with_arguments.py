"""Run a command with the arguments in $ARGUMENTS behind its own; action.yml takes them from a workflow.

ARGUMENTS="--method fp,qat" python scripts/with_arguments.py flatqat bench run
"""

import os
import shlex
import sys


def main() -> int:
    """Become the command, or return 2. The arguments are quoted as in a shell, and no shell looks at them."""
    command, text = shlex.join(sys.argv[1:4]), os.environ["ARGUMENTS"]
    try:
        os.execvp(sys.argv[1], [*sys.argv[1:], *shlex.split(text)])
    except ValueError as error:
        why = f"arguments of {command}: expected a command line, got {text!r} ({error})"
    except OSError as error:
        why = f"cannot start {command}: {error.strerror}"
    print(f"error: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
