"""Drawn street scenes with exact labels and depth, in clear weather and in fog, at night, in rain and snow."""
