"""Labelled images in memory and on disk, decoded in batches, and the transforms they are seen through."""
