"""Labelled images in memory and on disk, decoded batch by batch, and their transforms."""
