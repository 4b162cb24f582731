"""Datasets of street scenes with label maps: finding, pairing, loading and checking their files."""
