"""The names that plugins, scripts and notebooks build on; each is imported when it is first used.

`import flatqat` loads nothing else, so that the command line starts instantly. A plugin starts from `Method`,
`Quantizer`, `Suite` or `ModelSource`; a notebook from `load_results`, or from `run` and `Request`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors read; `_MODULES` says the same to the interpreter
    from flatqat.bench.engine.run import run_request as run
    from flatqat.bench.plan.request import Request
    from flatqat.bench.report.tidy import load_results
    from flatqat.data.tensors.image_data import ImageData
    from flatqat.data.tensors.image_files import image_files
    from flatqat.data.tensors.segmentation_files import segmentation_files
    from flatqat.errors import FlatqatError
    from flatqat.finding import Finding
    from flatqat.methods.average import Average
    from flatqat.methods.base import Calibration, Method, Setup
    from flatqat.methods.perturb import Perturbation
    from flatqat.methods.settings import AtLeast, Between
    from flatqat.models.base import ModelSource, Normalized, build
    from flatqat.quant.apply import latent_weights, quantize_, quantizers
    from flatqat.quant.base import Quantizer
    from flatqat.quant.observe import Observer
    from flatqat.quant.ops import fake_quantize, full_precision, surrogate
    from flatqat.spec import Cell, EvalTransform, QuantSpec, Recipe, Record, Score, Window
    from flatqat.suite import Shift, Suite
    from flatqat.testing import check_plugin

__version__ = "0.1.0"

__all__ = ["AtLeast", "Average", "Between", "Calibration", "Cell", "EvalTransform", "Finding", "FlatqatError"]
__all__ += ["ImageData", "Method", "ModelSource", "Normalized", "Observer", "Perturbation", "QuantSpec"]
__all__ += ["Quantizer", "Recipe", "Record", "Request", "Score", "Setup", "Shift", "Suite", "Window"]
__all__ += ["__version__", "build", "check_plugin", "fake_quantize", "full_precision", "image_files"]
__all__ += ["latent_weights", "load_results", "quantize_", "quantizers", "run", "segmentation_files"]
__all__ += ["surrogate"]

_MODULES = {
    "flatqat.bench.engine.run": "run=run_request",
    "flatqat.bench.plan.request": "Request",
    "flatqat.bench.report.tidy": "load_results",
    "flatqat.data.tensors.image_data": "ImageData",
    "flatqat.data.tensors.image_files": "image_files",
    "flatqat.data.tensors.segmentation_files": "segmentation_files",
    "flatqat.errors": "FlatqatError",
    "flatqat.finding": "Finding",
    "flatqat.methods.average": "Average",
    "flatqat.methods.base": "Calibration Method Setup",
    "flatqat.methods.perturb": "Perturbation",
    "flatqat.methods.settings": "AtLeast Between",
    "flatqat.models.base": "ModelSource Normalized build",
    "flatqat.quant.apply": "latent_weights quantize_ quantizers",
    "flatqat.quant.base": "Quantizer",
    "flatqat.quant.observe": "Observer",
    "flatqat.quant.ops": "fake_quantize full_precision surrogate",
    "flatqat.spec": "Cell EvalTransform QuantSpec Recipe Record Score Window",
    "flatqat.suite": "Shift Suite",
    "flatqat.testing": "check_plugin",
}
"""Module to its names here; `run=run_request` is called `run` here and `run_request` there."""

if not TYPE_CHECKING:  # a type checker that sees `__getattr__` takes any name for an existing one

    def __getattr__(name: str) -> Any:
        """Return the object called `name` and keep it, so that the next access costs nothing."""
        for module, names in _MODULES.items():
            for here, _, there in (text.partition("=") for text in names.split()):
                if here == name:
                    globals()[name] = getattr(import_module(module), there or here)
                    return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Return all names, imported or not, for completion in editors and notebooks."""
        return sorted({*globals(), *__all__})
