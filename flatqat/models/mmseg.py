"""MMSegmentation's networks: `mmseg:segformer_mit-b0_8xb1-160k_cityscapes-1024x1024`, the name of a config.

Configs are those of the installed package, with the suite's number of classes. Mean, standard deviation and
sliding window are the config's, BatchNorm is that of one process. The network starts untrained unless
`--pretrained` or `--weights FILE` gives it weights. In training every head that gives a class map has its
cross-entropy, weighted as in the config. Left out are heads that give none: edges (PIDNet), details (STDC),
which classes an image shows (EncNet); and what a config adds to the cross-entropy of a head: hard-pixel
mining, class weights, Dice, sigmoids. Refused with a reason are networks that need more than the package has;
LRASPP pools over 49 positions, and its images need sides of 385 pixels or more.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from pathlib import Path
from warnings import catch_warnings, simplefilter

from torch import Tensor, nn

from flatqat.errors import UsageError
from flatqat.models.base import ModelSource, Normalized
from flatqat.models.download import cached
from flatqat.models.mmseg_config import recipe
from flatqat.models.mmseg_net import EncoderDecoder
from flatqat.models.optional import require


def _names() -> list[str]:
    return list(_configs())


def _build(name: str, classes: int) -> Normalized:
    read = recipe(_configs()[name], classes)
    with _quietly():
        require("mmseg.models", extra="seg")  # fills the registry
        registries = require("mmengine.registry", extra="seg")
        with registries.DefaultScope.overwrite_default_scope("mmseg"):
            segmentor = registries.MODELS.build(read.model)
        segmentor.init_weights()
    net = EncoderDecoder(segmentor, read)
    return Normalized(net, read.mean, read.std, task="segmentation", window=read.window)


def _pretrained(name: str) -> Path:
    """The file that the metafile of the config's folder names."""
    urls = _urls(_configs()[name])
    if len(urls) != 1:
        raise UsageError(
            f"model mmseg:{name}: expected one file of weights of its own, got "
            f"{' and '.join(urls) or 'none'}; pass --weights FILE"
        )
    return cached(urls[0])


def _urls(config: Path) -> list[str]:
    metafile = config.with_name("metafile.yaml")
    if not metafile.is_file():
        return []
    listed = require("yaml", extra="seg").safe_load(metafile.read_text("utf-8"))["Models"]
    own = (entry for entry in listed if Path(entry["Config"]).stem == config.stem)
    return sorted({entry["Weights"] for entry in own if entry.get("Weights")})


def _adapt(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what the network has no use for: its preprocessing and heads without a class map."""
    left_out = tuple(net.left_out) if isinstance(net, EncoderDecoder) else ()
    return {name: tensor for name, tensor in state.items() if not name.startswith(left_out)}


@lru_cache
def _configs() -> dict[str, Path]:
    """The configs in the package by their names; nothing of it is imported."""
    folder = Path(require("mmseg", extra="seg").__file__).parent / ".mim" / "configs"
    return {path.stem: path for path in sorted(folder.glob("[a-z]*/*.py"))}


@contextmanager
def _quietly() -> Iterator[None]:
    """Without warnings, logs of every initialized weight, and prints on stdout, which is for results."""
    before = logging.root.manager.disable
    with catch_warnings(), redirect_stdout(sys.stderr):
        simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


MODEL = ModelSource(names=_names, build=_build, pretrained=_pretrained, adapt=_adapt)
