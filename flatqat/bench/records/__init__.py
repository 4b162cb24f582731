"""The results folder: how records are written, read, and grouped by what may be compared."""
