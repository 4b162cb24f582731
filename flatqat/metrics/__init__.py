"""Scores of predictions, and how certain a difference between two scores is.

A meter reduces logits, batch by batch, to the scores of one shift and the outcome of every image. Statistical
tests and confidence intervals need these outcomes alone, so they run without torch and without a GPU.
"""
