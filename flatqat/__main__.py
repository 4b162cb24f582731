"""`python -m flatqat`."""

from flatqat.cli import main

main()
