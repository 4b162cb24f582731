"""Trace a network to an ONNX graph in which marks stand for quantizers."""

import re
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flatqat.errors import UsageError
from flatqat.export.network import marked
from flatqat.models.base import Normalized
from flatqat.models.optional import quietly

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 21  # the first with INT4 and UINT4
INPUT, OUTPUT = "images", "logits"
BATCH, SIDES = {0: "batch"}, {2: "height", 3: "width"}


def trace(model: Normalized, images: Tensor) -> "tuple[ModelProto, list[str]]":
    """Return the graph of a network, and which axes of its images may have any size.

    These are `batch`, and in segmentation `height` and `width`; a network that computes with the numbers
    themselves is traced again with sides as they are, and then for as many images as they are.

    Args:
        model: The network in eval mode.
        images: Two or more images of a size that it accepts.

    Raises UsageError, with the operator or the reason, if it cannot be traced.
    """
    attempts = [BATCH | SIDES] if model.task == "segmentation" else []
    for axes in (*attempts, BATCH, {}):
        try:
            return _named(_traced(model, images, axes), axes)
        except Exception as error:  # whatever torch.export and torch.onnx make of a network
            if operator := _operator(error):
                raise UsageError(
                    f"{type(model.net).__name__}: expected operators that ONNX has, got {operator}, which "
                    "torch.onnx cannot export; replace it in the network"
                ) from error
            last = error
    reason = _reason(last)
    raise UsageError(f"{type(model.net).__name__}: torch.onnx cannot export it: {reason}") from last


def _traced(model: Normalized, images: Tensor, axes: dict[int, str]) -> "ModelProto":
    """Return the graph, with dynamic axes wherever no computation fixes their size.

    torch.onnx could export the network without torch.export, but would not check the sizes that it assumes.
    """
    dynamic = dict.fromkeys(axes, torch.export.Dim.AUTO)
    with quietly(), torch.no_grad(), marked(model.net):
        exported = torch.export.export(model, (images,), dynamic_shapes=(dynamic,))
        program = torch.onnx.export(
            exported,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _named(model: "ModelProto", axes: dict[int, str]) -> "tuple[ModelProto, list[str]]":
    """Give the axes that were found to be of any size their names, and return these."""
    values = [*model.graph.input, *model.graph.output]
    sizes = [size for value in values for size in value.type.tensor_type.shape.dim]
    for size in sizes:
        if size.dim_param.isdigit():  # how torch.onnx names an axis that turned out to have one size
            size.dim_value = int(size.dim_param)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    names = {shape[axis].dim_param: name for axis, name in axes.items() if shape[axis].dim_param}
    for size in sizes:
        if size.dim_param:
            size.dim_param = names.get(size.dim_param, size.dim_param)
    del model.graph.value_info[:]  # in terms of the old names
    return model, list(names.values())


def _operator(error: BaseException | None) -> str:
    """Return the operator that an error or one of its causes says has no translation."""
    while error is not None:
        if match := re.search(r"No ONNX function found for <OpOverload\(op='([^']+)'", str(error)):
            return match[1]
        error = error.__cause__ or error.__context__
    return ""


def _reason(error: BaseException) -> str:
    """Return the first line of the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines: list[Any] = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
