"""Street scenes with label maps: where they lie on disk, which files belong together, and what is wrong."""
