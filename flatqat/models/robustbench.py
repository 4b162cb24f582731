"""RobustBench's networks: `robustbench:cifar10/corruptions/Hendrycks2020AugMix_WRN`.

Names are DATASET/THREAT/NAME, as in its model zoo. The networks normalize images themselves. Networks whose
constructor downloads, whose weights are several files, or whose images are not resized are refused with a
reason.
"""

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from flatqat.errors import UsageError
from flatqat.models.base import ModelSource, Normalized
from flatqat.models.download import cache, unavailable
from flatqat.models.optional import quietly, require
from flatqat.spec import EvalTransform

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
FRAMES = {
    None: EvalTransform(resize=32, crop=32),  # the CIFARs
    "Res256Crop224": EvalTransform(),
    "BicubicRes256Crop224": EvalTransform(interpolation="bicubic"),
    "Res224": EvalTransform(resize=224, squash=True),
}
CONSTANTS = ("mu", "sigma", "mean", "std")  # of the normalization; some files lack them


def _build(name: str, classes: int) -> Normalized:
    entry, data = _entry(name), name.partition("/")[0]
    if classes != CLASSES[data]:
        expected = f"a suite of {CLASSES[data]} classes ({data})"
        raise UsageError(f"model robustbench:{name}: expected {expected}, got {classes}")
    with quietly():
        net = entry["model"]()
    return Normalized(net, mean=(0, 0, 0), std=(1, 1, 1), eval_transform=FRAMES[entry.get("preprocessing")])


def _pretrained(name: str) -> Path:
    """Return its file on Google Drive, which is kept beside torch's downloads."""
    entry = _entry(name)
    path = cache() / "robustbench" / f"{name}.pt"
    if path.is_file():
        return path
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with quietly():
            require("robustbench.utils", extra="robust").download_gdrive_new(entry["gdrive_id"], part)
        part.replace(path)
    except Exception as error:  # of gdown, the network or the disk
        origin = f"https://drive.google.com/uc?id={entry['gdrive_id']}"
        raise unavailable(origin, path.name, path.parent, error) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _adapt(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors of the zoo's files, which have various prefixes, and add missing constants."""
    expected = net.state_dict()
    renamed = {}
    for name, tensor in state.items():
        bare = name.removeprefix("module.").removeprefix("model.")
        renamed[bare if bare in expected else f"model.{bare}"] = tensor
    constants = {name: tensor for name, tensor in expected.items() if name.rpartition(".")[2] in CONSTANTS}
    return constants | renamed


def _entry(name: str) -> Mapping[str, Any]:
    """Return the zoo's entry. Raises UsageError if flatqat cannot build or load it."""
    entry = _zoo()[name]
    weights, preprocessing = entry["gdrive_id"], entry.get("preprocessing")
    if not weights:
        reason = (
            "its constructor downloads weights; the same network may be available as torchvision: or timm:"
        )
    elif not isinstance(weights, str):
        reason = f"its weights are {len(weights)} files, and flatqat loads one"
    elif preprocessing not in FRAMES:
        reason = f"its images are cut as {preprocessing}, which flatqat does not support"
    else:
        return entry
    fix = "choose another: flatqat models list 'robustbench:*'"
    raise UsageError(f"model robustbench:{name}: {reason}; {fix}")


def _zoo() -> dict[str, Mapping[str, Any]]:
    """Return every entry of its model zoo, by DATASET/THREAT/NAME."""
    with quietly(), _importable():
        dicts = require("robustbench.model_zoo", extra="robust").model_dicts
    return {
        f"{data.value}/{threat.value}/{name}": entry
        for data, threats in dicts.items()
        for threat, entries in threats.items()
        for name, entry in entries.items()
    }


@contextmanager
def _importable() -> Iterator[None]:
    """Replace two modules that robustbench imports: one was renamed, the other removed from setuptools."""
    stands: dict[str, Any] = {}
    if "robustbench" not in sys.modules and importlib.util.find_spec("robustbench") is not None:
        if importlib.util.find_spec("autoattack") is None:
            stands["autoattack"] = require("pyautoattack", extra="robust")
            stands["autoattack.state"] = require("pyautoattack.state", extra="robust")
        if importlib.util.find_spec("pkg_resources") is None:
            stands["pkg_resources"] = SimpleNamespace(resource_filename=_beside)
    sys.modules.update(stands)
    try:
        yield
    finally:
        for name in stands:
            del sys.modules[name]


def _beside(module: str, file: str) -> str:
    """Return the path of a file in a module's folder, as pkg_resources.resource_filename does."""
    return str(Path(sys.modules[module].__file__ or "").parent / file)


MODEL = ModelSource(
    names=lambda: list(_zoo()), build=_build, pretrained=_pretrained, adapt=_adapt, entry="last"
)
