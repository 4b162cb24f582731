# What developers type; needs `pip install -e '.[all,dev]'`.

# All tests.
test *args:
    python -m pytest -n auto --dist loadfile {{args}}

# All tests as on an older CPU, whose vector code rounds otherwise, and with two threads.
test-older-cpu *args:
    ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2 ONEDNN_MAX_CPU_ISA=SSE41 \
    OPENBLAS_CORETYPE=Nehalem FLATQAT_TEST_THREADS=2 python -m pytest {{args}}

# Hours: a cell of each folder of results is computed anew.
slow:
    python -m pytest -m slow -s

# Style, types, floors.
lint:
    ruff check
    ruff format --check
    mypy
    lint-imports

# The documentation site, into site/; `mkdocs serve` shows it while you write.
docs:
    mkdocs build --strict

# The README's tables, from committed results.
readme:
    python scripts/readme.py

# Speed beside peers, into docs/speed.md, in about 20 minutes; `just perf --only training` measures one topic.
# FLATQAT_DATA_ROOT names the folder with ImageNet's validation images, which one topic needs.
perf *args:
    python -m perf {{args}}
