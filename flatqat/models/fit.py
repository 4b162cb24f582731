"""How the tensors of a file fit a network: under which names, and where they differ."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flatqat.models.checkpoint import State

COUNTERS = ("n_averaged",)  # that averages keep beside the names of the network
COMPILED = "_orig_mod."  # that torch.compile puts before the names of what it compiled

Adapt = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A state dict under the names of a network, and how it differs from the network's own.

    `heads` names the layers that the file has for another number of classes, where that is no difference.
    """

    state: State
    matching: int
    differences: tuple[tuple[str, list[str]], ...]
    heads: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every tensor fits, and none is missing or left over."""
        return not any(names for _, names in self.differences)

    def __str__(self) -> str:
        parts = (f"{len(names)} {what} (first: {names[0]})" for what, names in self.differences if names)
        return "; ".join(parts)


def fit_of(state: State, expected: Mapping[str, Tensor], net: nn.Module, new_head: bool, adapt: Adapt) -> Fit:
    """Return how a state dict fits under the prefix that fits best."""
    best: Fit | None = None
    for bare in _bare(state, expected):
        fit = _compared(bare, expected, net, new_head, adapt)
        if best is None or fit.matching > best.matching or (fit.is_complete and not best.is_complete):
            best = fit
        if best.is_complete:
            break
    assert best is not None
    return best


def _bare(state: State, expected: Mapping[str, Tensor]) -> Iterator[State]:
    """Yield the state dict, then without one prefix after another that all names share, then with ours."""
    yield state
    state = {k: v for k, v in state.items() if k not in COUNTERS or k in expected}
    plain = {k.replace(COMPILED, ""): v for k, v in state.items()}
    state = plain if len(plain) == len(state) else state
    yield state
    while prefix := _shared(state):
        first = prefix[: prefix.index(".") + 1]
        state = {name.removeprefix(first): tensor for name, tensor in state.items()}
        yield state
    ours = _shared(expected)
    if ours:
        yield {ours + name: tensor for name, tensor in state.items()}


def _shared(names: Mapping[str, Tensor]) -> str:
    """Return the parts, up to a dot, with which all names begin."""
    prefix = next(iter(names), "")
    while prefix and not (prefix.endswith(".") and all(name.startswith(prefix) for name in names)):
        prefix = prefix[: prefix.rfind(".", 0, -1) + 1]
    return prefix


def _compared(
    state: State, expected: Mapping[str, Tensor], net: nn.Module, new_head: bool, adapt: Adapt
) -> Fit:
    odd = sorted(f"{name}, {kind}" for name, tensor in state.items() if (kind := _kind(tensor)))
    if odd:
        return Fit(state=state, matching=0, differences=(("no dense tensors in memory", odd),))
    state = adapt(state)
    heads = _keep_heads_(state, expected, net) if new_head else ()
    missing, surplus = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    misfits = [k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape]
    if missing and all(k.endswith("num_batches_tracked") for k in missing):
        state |= {k: expected[k] for k in missing}  # a counter that inference never reads
        missing = []
    shapes = [f"{k} {tuple(state[k].shape)} for {tuple(expected[k].shape)}" for k in sorted(misfits)]
    matching = len(expected.keys() & state.keys()) - len(misfits)
    differences = (("missing", missing), ("not in the network", surplus), ("of another shape", shapes))
    return Fit(state=state, matching=matching, differences=differences, heads=heads)


def _kind(tensor: Tensor) -> str:
    """Return what a tensor is, if it is not a dense one with its numbers in memory."""
    if tensor.is_nested or tensor.layout != torch.strided:
        return "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
    return "quantized" if tensor.is_quantized else "without data" if tensor.is_meta else ""


def _keep_heads_(state: State, expected: Mapping[str, Tensor], net: nn.Module) -> tuple[str, ...]:
    """Replace classifiers for another number of classes by the network's own; returns their names.

    Classifiers are the linear and convolution layers with another number of outputs in the file, all of them
    with the same two numbers, and otherwise the same. A layer inside the network is none, as what follows it
    would not fit either.
    """
    layers: dict[tuple[int, int], dict[str, set[str]]] = {}
    for name, module in net.named_modules():
        names = {f"{name}.{part}" for part in ("weight", "bias")} & expected.keys() & state.keys()
        if not isinstance(module, nn.Linear | nn.Conv2d) or f"{name}.weight" not in names:
            continue
        theirs, ours = ([tensors[key].shape for key in sorted(names)] for tensors in (state, expected))
        if [shape[1:] for shape in theirs] == [shape[1:] for shape in ours]:
            layers.setdefault((theirs[-1][0], ours[-1][0]), {})[name] = names
    others = [of_count for (theirs, ours), of_count in layers.items() if theirs != ours]
    if len(others) != 1:
        return ()
    state |= {name: expected[name] for names in others[0].values() for name in names}
    return tuple(others[0])
