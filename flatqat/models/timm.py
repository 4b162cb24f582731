"""timm's networks: `timm:convnext_tiny`, or with the tag of its weights `timm:resnet50.tv_in1k`.

Without a tag timm's default one is used. Mean, standard deviation, input size (that of training, not the
larger one at which timm tests some), crop share, crop mode and interpolation are those of the weights. The
network starts untrained nevertheless, unless `--pretrained` or `--weights FILE` provides weights.
"""

import sys
from collections.abc import Mapping
from math import floor
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from flatqat.errors import UsageError
from flatqat.models.base import ModelSource, Normalized
from flatqat.models.download import cached, unavailable
from flatqat.models.optional import require
from flatqat.spec import EvalTransform


def _names() -> list[str]:
    """List timm's own networks, without those that other libraries add to its list in some processes."""
    timm = _timm()
    own = [name for name in timm.list_models() if timm.model_entrypoint(name).__module__.startswith("timm.")]
    own_names = set(own)
    return own + [name for name in timm.list_pretrained() if name.partition(".")[0] in own_names]


def _build(name: str, classes: int) -> Normalized:
    timm = _timm()
    net = timm.create_model(name, pretrained=False, num_classes=classes)
    config = timm.data.resolve_data_config({}, model=net)
    return Normalized(net, config["mean"], config["std"], _eval_transform(name, config))


def _eval_transform(name: str, config: Mapping[str, Any]) -> EvalTransform:
    """Resize the short side (`squash`: both sides) to floor(size / share), and crop the middle to size."""
    _, height, width = config["input_size"]
    if height != width or config["crop_mode"] not in ("center", "squash"):
        raise UsageError(
            f"model timm:{name}: expected one that sees square crops, got one that sees images of "
            f"{height}x{width} by the crop mode {config['crop_mode']!r}; choose another model"
        )
    return EvalTransform(
        resize=floor(height / config["crop_pct"]),
        crop=height,
        interpolation=config["interpolation"],
        squash=config["crop_mode"] == "squash",
    )


def _pretrained(name: str) -> Path:
    """Return the file on the Hugging Face hub, in its own cache, or at a URL."""
    config = _timm().get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        raise UsageError(f"model timm:{name}: expected weights of its own, got none; pass --weights FILE")
    if not config.hf_hub_id:
        return cached(config.url)
    hub = require("huggingface_hub", extra="zoo")
    repository, _, revision = config.hf_hub_id.partition("@")
    file = config.hf_hub_filename or "model.safetensors"
    try:
        return Path(hub.hf_hub_download(repository, file, revision=revision or None))
    except Exception as error:  # of the network, the hub or the disk, which have their own classes
        folder = Path(hub.constants.HF_HUB_CACHE)
        raise unavailable(f"https://huggingface.co/{config.hf_hub_id}", file, folder, error) from error


def _adapt(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert files with other names than the network's as timm itself does; leave all others unchanged."""
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    if convert is None or state.keys() == net.state_dict().keys():
        return dict(state)
    try:
        return dict(convert(dict(state), net))
    except Exception:  # made for another network: the strict loader reports how it differs
        return dict(state)


def _timm() -> Any:
    return require("timm", extra="zoo")


MODEL = ModelSource(names=_names, build=_build, pretrained=_pretrained, adapt=_adapt)
