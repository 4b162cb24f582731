"""Flatness of a cell: every estimator, at the point where it is measured, as plain numbers."""
