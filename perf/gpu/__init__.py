"""Acceptance of a machine with a CUDA device: what must equal the CPU there, and how fast it is.

    python -m perf.gpu --out FOLDER                    about nine minutes, exits 1 if a check fails
    python -m perf.gpu --device cpu --tiny             about a minute: the CPU stands in for the device

A section is a function that yields entries: checks, which pass or fail, and figures. One that breaks is a
failed check and costs no other section its results.
"""
