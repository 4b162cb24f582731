"""Model sources, the networks they build, and how these expect their images."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flatqat import registry
from flatqat.blame import asked
from flatqat.errors import PluginError, UsageError, unknown
from flatqat.kinds import defined_at
from flatqat.models.attention import split_attention_, split_state
from flatqat.models.outputs import logits_of
from flatqat.models.sliding import slide
from flatqat.models.weights import load_weights_
from flatqat.spec import EvalTransform, Window

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Normalized(nn.Module):
    """A network with its own normalization: maps images in [0, 1] of shape (B, 3, H, W) to its output.

    Attributes:
        net: The network.
        mean: Subtracted from the images, per channel.
        std: Divides the images, per channel.
        eval_transform: How images without a common size are resized and cropped for it.
        task: `classification` or `segmentation`. Networks for segmentation see images at their own size.
        window: The window that slides over images in evaluation, if there is one.
        amp: Whether predictions use bfloat16 autocast.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        eval_transform: EvalTransform | None = None,
        *,
        task: str = "classification",
        window: Window | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.eval_transform = eval_transform or EvalTransform()
        self.task, self.window, self.amp = task, window, False
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    @property
    def preprocessing(self) -> str:
        """The transform or window, mean and standard deviation, as the protocol states them."""
        return self.preprocessing_by(self.eval_transform)

    def preprocessing_by(self, frame: EvalTransform) -> str:
        """Return `preprocessing` with another transform."""
        mean, std = (" ".join(f"{v:.3f}" for v in t.flatten().tolist()) for t in (self.mean, self.std))
        sees = str(frame)
        if self.task == "segmentation":
            sees = f"window {self.window}, logits averaged" if self.window else "whole images, not resized"
        return f"{sees}; mean {mean}, std {std}"

    def normalize(self, images: Tensor) -> Tensor:
        """Return what the network itself sees."""
        return (images - self.mean).div_(self.std)

    def forward(self, images: Tensor) -> Any:
        """Return logits, (B, classes) or (B, classes, H, W).

        In training, networks with auxiliary heads return (weight, logits) pairs, that of inference first.
        Raises UsageError if the network returns neither, see `logits_of`.
        """
        return logits_of(self.net(self.normalize(images)), training=self.training)

    def predict(self, images: Tensor) -> Tensor:
        """Return logits as they are scored: through the window, if there is one."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            logits: Tensor = slide(self, images, self.window) if self.window else self(images)
        return logits


def _no_weights(name: str) -> Path:
    raise UsageError("--pretrained: this source of models has no weights of its own; pass --weights FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A source of networks.

    Attributes:
        names: Lists the names that it can build. A source with one network (`tiny`) lists the empty name; one
            that builds from any name (`file`) lists none and refuses bad ones itself.
        build: Builds an untrained network for a name and a number of classes.
        pretrained: Returns the file of a name's own weights, downloaded if necessary.
        files: Returns the local files that a network's code comes from.
        adapt: Renames the tensors of a file to the names of a network, and drops those that it never uses.
        entry: The entry that the source's own loader takes of files with several sets of weights, if it does.
    """

    names: Callable[[], Sequence[str]]
    build: Callable[[str, int], Normalized]
    pretrained: Callable[[str], Path] = _no_weights
    files: Callable[[str], list[Path]] = lambda name: []
    adapt: Callable[[nn.Module, Mapping[str, Tensor]], dict[str, Tensor]] = lambda net, state: dict(state)
    entry: str = ""


def source_of(model: str) -> tuple[ModelSource, str]:
    """Return the source of `source:name`, and the name. Raises UsageError if it does not build that name."""
    source_name, _, name = model.partition(":")
    try:
        source: ModelSource = registry.load(registry.MODELS, source_name)
    except UsageError as error:
        if ":" in model:
            raise
        see = f"see: flatqat models list '*:*{model}*'"
        raise UsageError(f"{error}; other networks are SOURCE:NAME, {see}") from error
    _check_name(source_name, name)
    if model == f"{source_name}:":
        raise UsageError(f"model {model!r}: expected {source_name!r}, got a colon without a name")
    return source, name


def build(
    model: str,
    *,
    classes: int,
    seed: int,
    eval_transform: EvalTransform | None = None,
    window: str | None = None,
) -> Normalized:
    """Build `source:name` with random initial weights, torch's own attention split into layers.

    Args:
        model: The network, such as `timm:resnet50`.
        classes: The number of classes.
        seed: Seeds the weights.
        eval_transform: Replaces the transform of the source.
        window: Replaces the window of the source, written as `Window` parses it.

    Raises UsageError if the name is unknown.
    """
    source, name = source_of(model)
    with torch.random.fork_rng(devices=[]):  # initializers of every library draw from the global generator
        torch.manual_seed(seed)
        expected = "a flatqat.Normalized network from build"
        built: Normalized = _asked(model, expected, Normalized, source.build, name, classes)
        split_attention_(built)
    built.eval_transform = eval_transform or built.eval_transform
    if window is not None:
        built.window = Window.parse(window)
    return built


def load_initial_(normalized: Normalized, model: str, path: Path, *, new_head: bool = False) -> str:
    """Load a file of weights into what `build(model)` built; returns and raises what `load_weights_` does."""
    net, source = normalized.net, source_of(model)[0]

    def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        adapted = _asked(
            model, "a dict of tensors from adapt", Mapping[str, Tensor], source.adapt, net, state
        )
        return split_state(net, adapted)

    return load_weights_(net, path, new_head=new_head, adapt=renamed, prefer=source.entry)


def names_of(source_name: str) -> list[str]:
    """Return the names that a source lists. Raises PluginError if it is a plugin whose code fails."""
    hook = registry.load(registry.MODELS, source_name).names
    return list(_asked(source_name, "texts from names", Collection[str], hook))


def pretrained(model: str) -> Path:
    """Return the file of a network's own weights, maybe downloaded. Raises UsageError if it has none."""
    source, name = source_of(model)
    file: Path = _asked(model, "the path of a file from pretrained", Path, source.pretrained, name)
    return file


def code_files(model: str) -> list[Path]:
    """Return the local files that a network's code comes from. Raises PluginError if one is none."""
    source, name = source_of(model)
    expected = "a list of paths from files"
    files = _asked(model, expected, tuple[Path, ...], source.files, name)
    if lacking := [file for file in files if not file.is_file()]:
        got = f"none at {lacking[0]}{defined_at(source.files)}"
        raise PluginError(f"model {model}: expected {expected}, got {got}; fix the plugin")
    return list(files)


def _asked(model: str, expected: str, of: Any, hook: Callable[..., Any], *args: Any) -> Any:
    """Return what a hook of a network's source does, see `asked`."""
    return asked(registry.MODELS, model.partition(":")[0], expected, of, hook, *args)


def _check_name(source_name: str, name: str) -> None:
    names = names_of(source_name)
    if name in names or (name and not names):
        return
    if names == [""]:
        raise UsageError(f"model {source_name!r}: expected no name after it, got {name!r}")
    if not name:
        see = f"; see: flatqat models list '{source_name}:*'" if names else ""
        raise UsageError(f"model {source_name!r}: expected '{source_name}:NAME', got no name{see}")
    error = unknown(f"{source_name} model", name, names)
    raise UsageError(f"{error}; see: flatqat models list '{source_name}:*'")
