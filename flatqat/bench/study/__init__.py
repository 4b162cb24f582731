"""The page of a study: methods against a baseline, and whether flat goes with OOD, out of stored records."""
