"""MMSegmentation's networks: `mmseg:segformer_mit-b0_8xb1-160k_cityscapes-1024x1024`.

Names are those of configs in the installed package, built for the suite's number of classes. Mean, standard
deviation and sliding window are those of the config; BatchNorm uses a single process. The network starts
untrained unless `--pretrained` or `--weights FILE` provides weights. In training every head with a class map
has its cross-entropy, weighted as in the config. Heads without one are left out: edges (PIDNet), details
(STDC), the classes in an image (EncNet). So is what a config adds to a head's cross-entropy: hard-pixel
mining, class weights, Dice, sigmoids. Networks that need more than the package has are refused with a reason.
LRASPP pools over 49 positions, and needs images with sides of at least 385 pixels.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from torch import Tensor, nn

from flatqat.errors import UsageError
from flatqat.models.base import ModelSource, Normalized
from flatqat.models.download import cached
from flatqat.models.mmseg_config import read_config
from flatqat.models.mmseg_net import EncoderDecoder
from flatqat.models.optional import quietly, require


def _build(name: str, classes: int) -> Normalized:
    config = read_config(_configs()[name], classes)
    with quietly():
        require("mmseg.models", extra="seg")  # fills the registry
        registries = require("mmengine.registry", extra="seg")
        with registries.DefaultScope.overwrite_default_scope("mmseg"):
            segmentor = registries.MODELS.build(config.model)
        segmentor.init_weights()
    net = EncoderDecoder(segmentor, config)
    return Normalized(net, config.mean, config.std, task="segmentation", window=config.window)


def _pretrained(name: str) -> Path:
    """Return the file that the metafile of the config's folder names."""
    urls = _urls(_configs()[name])
    if len(urls) != 1:
        got = f"got {' and '.join(urls) or 'none'}; pass --weights FILE"
        raise UsageError(f"model mmseg:{name}: expected one file of weights of its own, {got}")
    return cached(urls[0])


def _urls(config: Path) -> list[str]:
    metafile = config.with_name("metafile.yaml")
    if not metafile.is_file():
        return []
    listed = require("yaml", extra="seg").safe_load(metafile.read_text("utf-8"))["Models"]
    entries = (entry for entry in listed if Path(entry["Config"]).stem == config.stem)
    return sorted({entry["Weights"] for entry in entries if entry.get("Weights")})


def _adapt(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop tensors that the network does not use: its preprocessing, and heads without a class map."""
    left_out = tuple(net.left_out) if isinstance(net, EncoderDecoder) else ()
    return {name: tensor for name, tensor in state.items() if not name.startswith(left_out)}


@lru_cache
def _configs() -> dict[str, Path]:
    """Return the configs in the package by name, without importing it."""
    folder = Path(require("mmseg", extra="seg").__file__).parent / ".mim" / "configs"
    return {path.stem: path for path in sorted(folder.glob("[a-z]*/*.py"))}


MODEL = ModelSource(names=lambda: list(_configs()), build=_build, pretrained=_pretrained, adapt=_adapt)
