"""Load weights from a file into a network, ignoring no tensor of the set that is taken."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from flatqat.errors import WeightsError
from flatqat.memory import out_of_memory
from flatqat.models.checkpoint import State, chosen, read_entries, split
from flatqat.models.fit import Adapt, Fit, fit_of


def load_weights_(
    net: nn.Module, path: Path, *, new_head: bool = False, adapt: Adapt = dict, prefer: str = ""
) -> str:
    """Load a file, or one entry of it (`FILE#ENTRY`), into `net`: every tensor of the entry must fit.

    Prefixes that all names of an entry share (`module.`, `_orig_mod.`, `model.`) need not be the network's.

    Args:
        net: The network.
        path: The file.
        new_head: Whether layers that the file has for another number of classes start anew. They start as
            PyTorch starts such layers, like DomainBed's, and draw from its global generator. Some networks
            start their last layer otherwise, for training from the beginning: EfficientNets uniformly within
            1 / sqrt(classes), with which fine-tuning on PACS begins at a loss of 10 and diverges.
        adapt: Renames the tensors of the file to the names of the network.
        prefer: The entry that is taken where several fit and none is chosen.

    Returns:
        The name of the entry, if the file alone does not determine it, else an empty text.

    Raises WeightsError if the file cannot be read, its tensors are not those of the network, or several
    entries are and none is chosen.
    """
    expected, (_, name) = net.state_dict(), split(path)
    entries = read_entries(path)

    def fitted(states: Mapping[str, State]) -> dict[str, Fit]:
        return {key: fit_of(state, expected, net, new_head, adapt) for key, state in states.items()}

    every = fitted(entries)
    fits = fitted(chosen(entries, name, path)) if name else every
    taken = _only(fits, prefer)
    if taken is None:
        parts = fitted(_parts(entries)) if not _complete(every) else {}
        raise WeightsError(_refusal(path, type(net).__name__, fits, parts))
    state = {key: _converted(fits[taken].state[key], expected[key], key, path) for key in fits[taken].state}
    expected.update(state)  # keeps the layers' versions, without which some layers expect old names
    net.load_state_dict(expected)
    for layer in map(net.get_submodule, fits[taken].heads):
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        layer.reset_parameters()
    default = _only(every, prefer)
    is_default = default is not None and _equal(every[default].state, fits[taken].state)
    return "" if is_default else taken


def _parts(entries: Mapping[str, State]) -> dict[str, State]:
    """Return what has the same first part of its names in an entry: `student` and `teacher`."""
    parts: dict[str, State] = {}
    for entry, state in entries.items():
        for name, tensor in state.items():
            first, _, rest = name.partition(".")
            if rest:
                parts.setdefault(f"{entry}.{first}" if entry else first, {})[rest] = tensor
    return parts


def _complete(fits: Mapping[str, Fit]) -> dict[str, Fit]:
    return {name: fit for name, fit in fits.items() if fit.is_complete}


def _only(fits: Mapping[str, Fit], prefer: str) -> str | None:
    """Return the entry that fits, the preferred one of several or the first of equal ones, or None."""
    complete = _complete(fits)
    if prefer in complete:
        return prefer
    first = next(iter(complete), None)
    if first is None:
        return None
    return first if all(_equal(complete[first].state, fit.state) for fit in complete.values()) else None


def _equal(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(a[k] is b[k] or _equal_tensors(a[k], b[k]) for k in a)


def _equal_tensors(a: Tensor, b: Tensor) -> bool:
    comparable = (t.double() if t.is_floating_point() else t for t in (a, b))  # not all types compare
    return a.dtype == b.dtype and torch.equal(*comparable)


def _refusal(path: Path, net: str, fits: Mapping[str, Fit], parts: Mapping[str, Fit]) -> str:
    """Return why nothing was loaded, and what can be chosen instead."""
    file, _ = split(path)
    choices = _complete(fits) or _complete(parts)
    name, best = max(fits.items(), key=lambda item: item[1].matching)
    wanted = f"weights {path}: expected the tensors of {net}"
    if _complete(fits):
        wanted = f"weights {path}: expected one set of weights"
    problem = f"got {best}" + (f" in {name}" if name and len(fits) > 1 else "")
    if not choices:
        return f"{wanted}, {problem}; check that --weights and --model belong together"
    fit = ", ".join(f"{name} ({fit.matching} tensors)" for name, fit in choices.items())
    problem = f"got {len(choices)} that fit {net}" if _complete(fits) else f"{problem}; parts of the file fit"
    return f"{wanted}, {problem}: {fit}; choose with --weights {file}#{next(reversed(choices))}"


def _converted(tensor: Tensor, like: Tensor, name: str, path: Path) -> Tensor:
    """Return a tensor in the type of the network's. Raises WeightsError unless all is finite there."""
    try:
        same_kind = tensor.is_floating_point() == like.is_floating_point() and not tensor.is_complex()
        if same_kind and (value := tensor.to(like.dtype)).isfinite().all():
            return value
        got = f"{str(tensor.dtype).removeprefix('torch.')}, or numbers that are not finite"
    except (RuntimeError, TypeError) as error:  # of types that torch can store but not convert
        if out_of_memory(error):
            raise
        got = str(tensor.dtype).removeprefix("torch.")
    raise WeightsError(f"weights {path}: expected finite numbers of the network's kind in {name}, got {got}")
