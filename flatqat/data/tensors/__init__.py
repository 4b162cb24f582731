"""Images as tensors: labeled sets that are decoded in batches, in memory or from files."""
