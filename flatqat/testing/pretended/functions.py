"""Functions of torch that name a device or ask for one, above autograd."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from flatqat.testing.pretended.notes import RefusedByDevice, place
from flatqat.testing.pretended.replaced import DeviceGenerator
from flatqat.testing.pretended.rules import tensors
from flatqat.testing.pretended.world import CPU, DEVICE, World

ANSWERS: dict[Any, Callable[[World, Tensor], Any]] = {
    Tensor.device.__get__: World.device_of,
    Tensor.is_cuda.__get__: World.there,  # type: ignore[attr-defined]
    Tensor.is_cpu.__get__: lambda world, tensor: not world.there(tensor),  # type: ignore[attr-defined]
    Tensor.get_device: lambda world, tensor: 0 if world.there(tensor) else -1,
}
MOVES: set[Any] = {Tensor.to, Tensor.cuda, Tensor.cpu}
TO_NUMPY: set[Any] = {Tensor.numpy, Tensor.__array__}
AS_TENSOR: set[Any] = {torch.as_tensor, torch.asarray}
OF_VALUES: set[Any] = {torch.tensor, Tensor.new_tensor, *AS_TENSOR}


class Functions(TorchFunctionMode):
    """Answers for the pretended device wherever a device is named or asked for."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch."""
        world, kwargs = self.world, dict(kwargs or {})
        if func in ANSWERS:
            return ANSWERS[func](world, args[0])
        if func in MOVES or (func in AS_TENSOR and isinstance(args[0], Tensor)):
            return self._move(func, args, kwargs)
        if func is Tensor.pin_memory:
            return args[0]
        if func in TO_NUMPY and world.there(args[0]):
            raise RefusedByDevice("expected a tensor on the CPU for NumPy, got one on the device; use .cpu()")
        if func is Tensor.tolist and world.there(args[0]):
            self._note_copy(args[0], CPU)
        if func in OF_VALUES:
            return self._of_values(func, args, kwargs)
        named = kwargs.get("device")
        if by_name := named is not None and torch.device(named).type in ("cpu", "cuda"):
            device, kwargs["device"] = torch.device(named), CPU
        else:
            device = DEVICE if any(map(world.there, tensors(args, kwargs))) else CPU
        _check_generator(kwargs.get("generator"), device)
        with world.asking(device, by_name=by_name):
            out = func(*args, **kwargs)
        if func is Tensor.__deepcopy__:  # copies a storage without an operator
            world.settle(out, device)
        return out

    def _of_values(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """Return a tensor of values from Python, which go one by one to the host, then to the device."""
        world, named, source = self.world, kwargs.pop("device", None), args[0]
        device = torch.device(named or (world.device_of(source) if isinstance(source, Tensor) else CPU))
        for value in filter(world.there, tensors(args[-1])):
            if value is not source:
                self._note_copy(value, CPU)
        with world.asking(CPU, by_name=True):
            out: Tensor = func(*args, **kwargs)
        if device.type == DEVICE.type:
            self._note_copy(out, DEVICE)
            world.settle(out)
        return out

    def _move(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """Move a tensor, or change its dtype or format where it is."""
        world, tensor = self.world, args[0]
        here, copy, no_wait = world.device_of(tensor), kwargs.pop("copy", False), False
        changes: dict[str, Any] = {}
        if func is Tensor.cuda or func is Tensor.cpu:
            device = DEVICE if func is Tensor.cuda else CPU
        elif len(args) > 1 and isinstance(args[1], Tensor):
            device, changes["dtype"] = world.device_of(args[1]), args[1].dtype
        else:
            device, changes["dtype"], no_wait, form = torch._C._nn._parse_to(*args[1:], **kwargs)
            if form is not None:
                changes["memory_format"] = form
        with world.asking(here, by_name=False):
            changed: Tensor = tensor.to(**changes, copy=copy) if any(changes.values()) or copy else tensor
        if device is None or device.type == here.type:
            return changed
        self._note_copy(changed, device, no_wait=no_wait)
        return world.moved(changed, device)

    def _note_copy(self, tensor: Tensor, to: torch.device, *, no_wait: bool = False) -> None:
        what = f"copy to the {'device' if to.type == DEVICE.type else 'host'} at {place()}"
        self.world.notes.copies[what] += tensor.nbytes
        if to.type != DEVICE.type or not no_wait:
            self.world.notes.waits[what] += 1


def _check_generator(generator: Any, device: torch.device) -> None:
    on_device = device.type == DEVICE.type
    if generator is not None and isinstance(generator, DeviceGenerator) != on_device:
        one, other = ("CPU", "device") if on_device else ("device", "CPU")
        how = "draw on the CPU, then move the numbers"
        raise RefusedByDevice(f"expected a generator of the {other}, got one of the {one}; {how}")
