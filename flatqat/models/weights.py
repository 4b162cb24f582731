"""Load weights from a file, without executing code and without ignoring any tensor."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flatqat.errors import WeightsError

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "last")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a safetensors or torch file.

    A torch file is read with `weights_only=True`. A dict that holds the state under one of `WRAPPERS` is
    unwrapped, and the prefix `module.` of data-parallel training is removed.

    Raises WeightsError if the file is missing, damaged or holds anything but tensors.
    """
    if not path.is_file():
        raise WeightsError(f"weights {path}: expected a safetensors or torch file, found none")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():  # about odd pickle protocols, before the error that matters
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers raise many types on other bytes
        raise WeightsError(
            f"weights {path}: expected tensors alone (safetensors, or a torch state dict), got a file that "
            "holds other objects or is damaged; save the state dict with safetensors.torch.save_file"
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"weights {path}: expected a state dict of tensors, got {type(state).__name__}")
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return dict(state)


def load_weights_(
    net: nn.Module,
    path: Path,
    *,
    new_head: bool = False,
    adapt: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict,
) -> None:
    """Load a file into `net`: every tensor must fit, none may be missing or left over.

    Args:
        net: The network.
        path: The file.
        new_head: Whether layers that the file has for another number of classes keep their initial weights.
        adapt: Renames the tensors of the file to the names of the network.

    Raises WeightsError if the file cannot be read, or its tensors are not those of the network.
    """
    state, expected = adapt(read_weights(path)), net.state_dict()
    if new_head:
        _keep_heads_(state, expected, net)
    missing, surplus = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    misfits = [k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape]
    if missing and all(k.endswith("num_batches_tracked") for k in missing):
        state |= {k: expected[k] for k in missing}  # a counter that inference never reads
        missing = []
    if missing or surplus or misfits:
        shapes = [f"{k} {tuple(state[k].shape)} for {tuple(expected[k].shape)}" for k in sorted(misfits)]
        differences = (("missing", missing), ("not in the network", surplus), ("of another shape", shapes))
        parts = "; ".join(f"{len(keys)} {what} (first: {keys[0]})" for what, keys in differences if keys)
        raise WeightsError(f"weights {path}: expected the tensors of {type(net).__name__}, got {parts}")
    for name, tensor in state.items():
        if tensor.is_floating_point() != expected[name].is_floating_point() or not tensor.isfinite().all():
            wanted = f"finite numbers of the network's kind in {name}"
            raise WeightsError(f"weights {path}: expected {wanted}, got others")
    expected.update(state)  # keeps the layers' versions, without which some layers expect old names
    net.load_state_dict(expected)


def _keep_heads_(state: dict[str, Tensor], expected: Mapping[str, Tensor], net: nn.Module) -> None:
    """Replace classifiers for another number of classes by the network's own.

    Classifiers are the linear and convolution layers with another number of outputs in the file, all of them
    with the same two numbers, and otherwise the same. A layer inside the network is none, as what follows it
    would not fit either.
    """
    layers: dict[tuple[int, int], list[str]] = {}
    for name, module in net.named_modules():
        names = {f"{name}.{part}" for part in ("weight", "bias")} & expected.keys() & state.keys()
        if not isinstance(module, nn.Linear | nn.Conv2d) or f"{name}.weight" not in names:
            continue
        theirs, ours = ([tensors[key].shape for key in sorted(names)] for tensors in (state, expected))
        if [shape[1:] for shape in theirs] == [shape[1:] for shape in ours]:
            layers.setdefault((theirs[-1][0], ours[-1][0]), []).extend(names)
    others = [counts for counts in layers if counts[0] != counts[1]]
    if len(others) == 1:
        state |= {name: expected[name] for name in layers[others[0]]}
