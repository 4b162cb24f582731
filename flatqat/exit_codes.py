"""The exit codes of all commands. Standard library only."""

OK = 0  # everything is fine
REGRESSED = WRONG = 1  # the gate: something dropped; any other check: something is wrong
MISTAKE = 2  # a mistake in usage or data, too little memory, or output that cannot be written
INCOMPLETE = 3  # a cell failed, was skipped or is missing, or nothing could be compared or checked
IMPROVED = 4  # the gate with `--two-sided`: something improved beyond the tolerance
BUG = 70  # a bug in flatqat, with its traceback: EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # an interrupt, as a shell shows a program that SIGINT ended
CLOSED_PIPE = 141  # the reader of the output ended first, as a shell shows a program that SIGPIPE ended
