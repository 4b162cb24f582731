"""Speed of flatqat beside its peers: `python -m perf` measures everything and writes docs/speed.md.

Each file with a function `rows(rounds)` is one topic; `perf.rounds` says how a row is measured.
"""
