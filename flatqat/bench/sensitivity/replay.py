"""Run a network again that differs from a recorded run in one layer, from that layer on.

Modules that returned before the first call of the changed layer are not affected by it. So the network's own
code runs again, but these modules return their recorded output at once. That is exact for any
architecture in eval mode, whatever its connections: nothing is assumed but that the same images take the same
way through it up to the changed layer. What code changes in place is found by the version that torch counts
for each tensor: such outputs are copied, and modules that change their input run again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

MOST_LAYERS = 6  # in a part: a bottleneck has 4, a transformer's block 4 to 6
AGAIN = object()
"""In place of the output of a part that changes its input in place: it runs again, for the sake of that."""

Run = Callable[[], Tensor]


class Replay:
    """Records a run of a network, and repeats the rest of it behind a layer; for use within `installed`.

    Parts are the modules whose outputs are recorded: of each branch of the network the first module on the
    way down that has at most MOST_LAYERS layers, so that few outputs have to be kept.

    Attributes:
        exact: Whether replaying is used; `verify` sets it.
        remaining: The part of the time of the recorded run that lies behind the first call of each layer.
    """

    def __init__(self, net: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        self._net, self._layers = net, layers
        self._tape: list[tuple[Any, list[int]]] = []  # outputs and their versions
        self._fragile: set[int] = set()  # places of outputs that are changed in place afterwards
        self._first: dict[str, int] = {}
        self._moments: dict[str, float] = {}
        self._recording, self._within, self._played, self._until = False, False, 0, 0
        self.exact = True
        self.remaining: dict[str, float] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within, the network can be recorded and replayed."""
        with ExitStack() as stack:
            for part in _parts(self._net, {id(layer) for layer in self._layers.values()}):
                stack.callback(_restore, part, part.__dict__.get("forward"))
                part.forward = partial(self._call, part.forward)
            for name, layer in self._layers.items():
                hook = layer.register_forward_pre_hook(partial(self._note, name), prepend=True)
                stack.callback(hook.remove)
            stack.callback(self._tape.clear)
            yield

    def verify(self, run: Run) -> bool:
        """Replay `run` without changes behind each layer; if one differs from the record, all runs are whole.

        A network might keep a module's output elsewhere, or draw random numbers. One or two images will do.
        """
        self.exact = True
        output = self._verified_record(run)
        for name in self._layers:
            same = torch.equal(self.run([name], run), output)
            if self._changed():
                output = self._verified_record(run)
                same = torch.equal(self.run([name], run), output)
            self.exact &= same
        return self.exact

    def _verified_record(self, run: Run) -> Tensor:
        output = self.record(run)
        while self._changed():
            output = self.record(run)
        return output

    def record(self, run: Run) -> Tensor:
        """Return the output of `run`, which runs the network, and record its way there."""
        self._tape.clear()
        self._first.clear()
        self._moments.clear()
        self._recording, began = True, perf_counter()
        try:
            output = run()
        finally:
            self._recording = False
        took = perf_counter() - began
        self.remaining = {name: 1 - (moment - began) / took for name, moment in self._moments.items()}
        return output

    def run(self, changed: Sequence[str], run: Run) -> Tensor:
        """Return the output of `run`, where layers may have `changed` since the record."""
        if self._changed():  # this network takes another way with these images than with those of `verify`
            self.exact = False
        starts = [self._first.get(name, 0) for name in changed]
        self._played, self._until = 0, min(starts, default=0) if self.exact else 0
        try:
            return run()
        finally:
            self._until = 0

    def _changed(self) -> bool:
        """Whether recorded outputs were changed in place; they are copied from now on."""
        places = {place for place, (output, count) in enumerate(self._tape) if _versions(output) != count}
        self._fragile |= places
        return bool(places)

    def _call(self, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Stand in for `forward` of a part."""
        if self._within:  # of another part that calls this one
            return forward(*args, **kwargs)
        if self._played < self._until:
            self._played += 1
            if (recorded := self._tape[self._played - 1][0]) is not AGAIN:
                return _copied(recorded) if self._played - 1 in self._fragile else recorded
        before = _versions((args, kwargs)) if self._recording else []
        self._within = True
        try:
            output = forward(*args, **kwargs)
        finally:
            self._within = False
        if self._recording:
            kept = _copied(output) if len(self._tape) in self._fragile else output
            kept = kept if _versions((args, kwargs)) == before else AGAIN
            self._tape.append((kept, _versions(kept)))
        return output

    def _note(self, name: str, *_: object) -> None:
        if self._recording and name not in self._first:
            self._first[name], self._moments[name] = len(self._tape), perf_counter()


def _copied(output: Any) -> Any:
    return tree_map_only(Tensor, torch.clone, output)


def _versions(values: Any) -> list[int]:
    """Return how often each tensor among some values was changed in place."""
    return [leaf._version for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _parts(module: nn.Module, layers: set[int]) -> list[nn.Module]:
    found: dict[int, nn.Module] = {}
    for child in module.children():
        count = sum(id(m) in layers for m in child.modules())
        whole = count <= MOST_LAYERS and not isinstance(child, (nn.Sequential, nn.ModuleList, nn.ModuleDict))
        for part in [child] if whole else _parts(child, layers):
            found.setdefault(id(part), part)
    return list(found.values())


def _restore(module: nn.Module, forward: Any) -> None:
    del module.forward
    if forward is not None:
        module.forward = forward
