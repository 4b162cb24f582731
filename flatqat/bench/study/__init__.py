"""The page of a study: methods against a baseline, and whether flatness correlates with OOD accuracy."""
