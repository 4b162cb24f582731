"""Images as tensors: labelled sets that are decoded in batches, in memory or from files."""
