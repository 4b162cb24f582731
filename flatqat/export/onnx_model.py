"""A quantized network as an ONNX model, and what has to be said of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from onnx import ModelProto
from torch import Tensor

from flatqat import __version__
from flatqat.export.batchnorm import fold_batchnorm_
from flatqat.export.graph import place_grids_
from flatqat.export.grids import ExportedGrid
from flatqat.export.network import QuantizedNetwork
from flatqat.export.storage import Integers, input_type, weight_type
from flatqat.export.trace import trace
from flatqat.models.base import Normalized

MOST_KEPT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An ONNX model.

    Attributes:
        proto: The model, without metadata.
        network: Its quantized tensors, as they are stored there.
        axes: Which axes of the images may have any size, see `trace`.
        notes: What is special about it, in words.
    """

    proto: ModelProto
    network: QuantizedNetwork
    axes: list[str]
    notes: list[str]


def onnx_model(
    model: Normalized, network: QuantizedNetwork, images: Tensor, *, fold_batchnorm: bool = False
) -> Exported:
    """Return the ONNX model of a network whose quantized tensors are `network`.

    It takes `images` (B, 3, H, W) in [0, 1], normalizes them and returns `logits`. Raises UsageError as
    `trace` and `place_grids_` do.
    """
    proto, axes = trace(model, images)
    about_norms: list[str] = []
    if fold_batchnorm:
        folded = fold_batchnorm_(proto, network)
        network = folded.network
        about_norms = _about_norms(folded.count, folded.kept)
    place_grids_(proto, network)
    proto.producer_name, proto.producer_version = "flatqat", __version__
    fixed = [] if "height" in axes else [f"images of {images.shape[2]}x{images.shape[3]} only"]
    fixed += [] if "batch" in axes else [f"batches of {len(images)} only"]
    return Exported(
        proto=proto, network=network, axes=axes, notes=[*_about_grids(network), *about_norms, *fixed]
    )


def as_file(proto: ModelProto) -> bytes:
    """Return the model as the bytes of a file. Raises what `onnx.checker` raises of a model that is none."""
    onnx.checker.check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString()
    return data


def _about_grids(network: QuantizedNetwork) -> Iterator[str]:
    """Yield which bits are stored in a wider type, and which grids are tables."""
    weights = [weight.grid for weight in network.weights.values()]
    inputs = list(network.inputs.values())
    yield from _wider("weights", "as", ((grid, weight_type(grid)) for grid in weights))
    even = [grid for grid in inputs if grid.scale is not None]
    yield from _wider("inputs", "as clipped", ((grid, input_type(grid)[0]) for grid in even))
    if tables := sum(grid.scale is None for grid in weights):
        yield f"weights of {tables} layers from tables of levels"
    if tables := len(inputs) - len(even):
        yield f"inputs of {tables} layers by a search among thresholds"


def _wider(what: str, how: str, grids: Iterable[tuple[ExportedGrid, Integers]]) -> Iterator[str]:
    kinds: dict[int, set[str]] = {}
    for grid, kind in grids:
        if kind.bits > grid.bits:
            kinds.setdefault(grid.bits, set()).add(kind.name)
    for bits, names in sorted(kinds.items()):
        yield f"{what} of {bits} bits {how} {' and '.join(sorted(names))}"


def _about_norms(count: int, kept: list[str]) -> list[str]:
    if not count and not kept:
        return ["no BatchNorm to fold"]
    more = f" and {len(kept) - MOST_KEPT} more" * (len(kept) > MOST_KEPT)
    behind = [f"BatchNorm kept: {', '.join(kept[:MOST_KEPT])}{more}"] if kept else []
    return [f"BatchNorm folded into {count} layers", *behind]
