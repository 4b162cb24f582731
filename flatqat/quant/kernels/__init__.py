"""Rounding in one pass: the four operations behind every uniform quantizer, as formulas and as fused kernels."""
