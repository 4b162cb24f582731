"""The frozen values that everything else passes around. Standard library only."""

from flatqat.spec.cell import Args, Cell
from flatqat.spec.image import IGNORED, EvalTransform, Interpolation, Window
from flatqat.spec.quant import QuantSpec
from flatqat.spec.recipe import Recipe
from flatqat.spec.record import SCHEMA, Record, Score, Status

__all__ = [
    "IGNORED",
    "SCHEMA",
    "Args",
    "Cell",
    "EvalTransform",
    "Interpolation",
    "QuantSpec",
    "Recipe",
    "Record",
    "Score",
    "Status",
    "Window",
]
