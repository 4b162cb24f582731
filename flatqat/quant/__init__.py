"""Quantizers: each maps a weight or a layer input to a grid, and none of them trains."""
