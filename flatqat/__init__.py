"""The names that plugins and notebooks build on, each imported when it is first used."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "flatqat.methods.average": "Average",
    "flatqat.methods.base": "Calibration Method Setup",
    "flatqat.methods.perturb": "Perturbation",
    "flatqat.methods.settings": "AtLeast Between",
    "flatqat.quant.apply": "latent_weights quantize_ quantizers",
    "flatqat.quant.base": "Quantizer",
    "flatqat.quant.observe": "Observer",
    "flatqat.quant.ops": "fake_quantize full_precision surrogate",
    "flatqat.spec": "QuantSpec Recipe",
    "flatqat.testing": "check_plugin",
}


def __getattr__(name: str) -> Any:
    """Import and return the object called `name`."""
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
