# What developers type; needs `pip install -e '.[all,dev]'`.

# All tests.
test *args:
    python -m pytest {{args}}

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

# Speed beside peers, into docs/speed.md; `just perf --only training --rounds 5` measures one topic.
perf *args:
    python -m perf {{args}}

# Cost of many models in one pass; needs ImageNet's validation images.
perf-one-pass data:
    python perf/one_pass.py --data-root {{data}}
