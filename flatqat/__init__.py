"""Names for plugins and notebooks, each imported when it is first used."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "EvalTransform": "flatqat.spec",
    "Finding": "flatqat.finding",
    "ImageData": "flatqat.data.images.image_data",
    "ModelSource": "flatqat.models.base",
    "Normalized": "flatqat.models.base",
    "Recipe": "flatqat.spec",
    "Shift": "flatqat.suite",
    "Suite": "flatqat.suite",
    "Window": "flatqat.spec",
    "image_files": "flatqat.data.images.image_files",
    "segmentation_files": "flatqat.data.images.segmentation_files",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'flatqat' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
