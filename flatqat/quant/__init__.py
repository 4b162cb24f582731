"""Quantizers: a grid for each weight and each layer input. They map to a grid and never train."""
