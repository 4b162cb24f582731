# What developers type; needs `pip install -e '.[all,dev]'`.

# Fast tests.
test *args:
    python -m pytest {{args}}

# Tests that take minutes.
slow:
    python -m pytest -m slow

# Style, types, floors.
lint:
    ruff check
    ruff format --check
    mypy
    lint-imports

# The README's tables, from committed results.
readme:
    python scripts/readme.py

# Speed beside peers, in one run.
perf:
    python perf/training.py
    python perf/corruptions.py
