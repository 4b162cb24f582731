"""Flatness of a trained cell: the estimators, the points at which they measure, and landscape files."""
