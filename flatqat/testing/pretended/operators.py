"""Operators as CUDA would treat them, below autograd: in backward passes and optimizers, too."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flatqat.testing.pretended.notes import RefusedByDevice, place
from flatqat.testing.pretended.rules import (
    crossing,
    has_kernel,
    launches,
    name_of,
    strangers,
    tensors,
    unordered,
    waits,
)
from flatqat.testing.pretended.storages import storage_of
from flatqat.testing.pretended.world import CPU, DEVICE, World


class Operators(TorchDispatchMode):
    """Refuses what CUDA refuses, notes what it costs, and puts every result on its device."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator."""
        kwargs, world = kwargs or {}, self.world
        given = tensors(args, kwargs)
        device = world.place_of_result(given)
        if any(map(world.there, given)):
            self._check(func, args, kwargs, given)
            self._note(func, args, given)
        elif device == DEVICE and launches(func):
            world.notes.kernels.append(name_of(func))
        out = func(*args, **kwargs)
        self._settle(tensors(out), given, device)
        return out

    def _check(self, func: Any, args: Any, kwargs: Any, given: Sequence[Tensor]) -> None:
        if wrong := strangers(func, args, kwargs, self.world.there):
            self.world.refuse(wrong, name_of(func))
        if not has_kernel(func, given):
            raise RefusedByDevice(f"expected an operator that CUDA has, got {func} of {given[0].dtype}")

    def _note(self, func: Any, args: Any, given: Sequence[Tensor]) -> None:
        notes, there = self.world.notes, self.world.there
        if launches(func):
            notes.kernels.append(name_of(func))
        if why := waits(func, args, there):
            notes.waits[f"{why} at {place()}"] += 1
        for tensor in crossing(func, args, there):
            notes.copies[f"copy at {place()}"] += tensor.nbytes
        if unordered(func, given):
            notes.unordered[f"{name_of(func)} at {place()}"] += 1

    def _settle(self, made: Sequence[Tensor], given: Sequence[Tensor], device: Any) -> None:
        """Put new storages on their device, and remember where those of the CPU come from."""
        known = {storage._cdata for t in given if (storage := storage_of(t)) is not None}
        for tensor in made:
            storage = storage_of(tensor)
            if storage is None or storage._cdata in known:
                continue
            if device != CPU:
                self.world.settle(tensor)
            elif not self.world.there(tensor):
                origins = (self.world.origins.get(t) for t in given)
                self.world.origins.put(tensor, next(filter(None, origins), None) or place())
