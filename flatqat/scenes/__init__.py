"""Rendered street scenes with exact labels and depth, in clear weather, fog, night, rain and snow."""
