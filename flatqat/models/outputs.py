"""What networks may return: logits, or what holds them where there is no doubt which tensor they are."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flatqat.errors import UsageError, listed

KEYS = ("out", "logits")


def logits_of(output: Any, *, training: bool) -> Any:
    """Return the logits in a network's output.

    These are a tensor, what a dict has under one of `KEYS` or as its only tensor, or the first tensor of a
    tuple. In training, pairs (weight, logits) of several heads are returned as they are.

    Raises UsageError on anything else.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        tensors = {key: value for key, value in output.items() if isinstance(value, Tensor)}
        named = [tensors[key] for key in KEYS if key in tensors]
        if named or len(tensors) == 1:
            return (named or list(tensors.values()))[0]
    elif isinstance(output, tuple | list) and output:
        if isinstance(output[0], Tensor):
            return output[0]
        if training and all(map(_is_head, output)):
            return output
    raise UsageError(
        "expected the network to return logits: a tensor, the first one of a tuple, or that of a dict under "
        f"{' or '.join(map(repr, KEYS))}, got {_described(output)}; return the logits alone"
    )


def _is_head(pair: Any) -> bool:
    is_pair = isinstance(pair, tuple | list) and len(pair) == 2
    return is_pair and isinstance(pair[0], int | float) and isinstance(pair[1], Tensor)


def _described(output: Any) -> str:
    kind = type(output).__name__
    if isinstance(output, Mapping):
        return f"{kind} with the keys {listed(output)}"
    if isinstance(output, tuple | list):
        return f"{kind} of {listed([type(part).__name__ for part in output])}"
    return kind
