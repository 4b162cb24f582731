"""A quantized network as an ONNX model."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import ModelProto
from torch import Tensor

from flatqat.export.graph import place_grids_
from flatqat.export.network import Network
from flatqat.export.trace import trace
from flatqat.models.base import Normalized

PRODUCER = "flatqat"


def onnx_model(model: Normalized, network: Network, images: Tensor) -> tuple[ModelProto, list[str]]:
    """Return the ONNX model of a network, and which axes of its images may have any size, as `trace` does."""
    proto, axes = trace(model, images)
    place_grids_(proto, network)
    proto.producer_name = PRODUCER
    return proto, axes


def checked(proto: ModelProto) -> bytes:
    """Return the model as the bytes of a file. Raises what `onnx.checker` raises of a model that is none."""
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString()
