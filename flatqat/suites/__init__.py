"""Suites, one file each: an in-distribution dataset and its shifts. Importing them imports no torch."""
