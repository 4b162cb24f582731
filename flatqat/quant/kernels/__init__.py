"""Rounding in one pass: the operations behind every uniform quantizer, as formulas and as kernels."""
