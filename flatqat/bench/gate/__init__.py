"""The gate of CI: a baseline file, and the comparison of stored results with it."""
