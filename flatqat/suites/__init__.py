"""One in-distribution set with its shifts a file. Importing a suite imports no torch and touches no data."""
