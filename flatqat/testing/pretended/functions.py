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
    Tensor.device.__get__: World.device_of,  # type: ignore[attr-defined]
    Tensor.is_cuda.__get__: World.there,  # type: ignore[attr-defined]
    Tensor.is_cpu.__get__: lambda world, tensor: not world.there(tensor),  # type: ignore[attr-defined]
    Tensor.get_device: lambda world, tensor: 0 if world.there(tensor) else -1,
}
MOVES = {Tensor.to, Tensor.cuda, Tensor.cpu}
TO_NUMPY = {Tensor.numpy, Tensor.__array__}
OF_VALUES = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}


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
        if func in MOVES:
            return self._move(func, args, kwargs)
        if func is Tensor.pin_memory:
            return args[0]
        if func in TO_NUMPY and world.there(args[0]):
            raise RefusedByDevice("expected a tensor on the CPU for NumPy, got one on the device; use .cpu()")
        if func is Tensor.tolist and world.there(args[0]):
            self._note_copy(args[0], CPU, at_once=False)
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
        """Return a tensor of numbers from Python, which are copied to the device, or of another tensor."""
        named, values = kwargs.pop("device", None), args[0]
        if not isinstance(values, Tensor):
            for number in filter(self.world.there, tensors(args[-1])):  # each is read by itself
                self._note_copy(number, CPU, at_once=False)
        if func is Tensor.new_tensor or isinstance(values, Tensor):
            device = torch.device(named or self.world.device_of(values))
        else:
            device = torch.device(named or CPU)
        if func is not Tensor.new_tensor and func is not torch.tensor and isinstance(values, Tensor):
            return values.to(device, **kwargs) if named is None else self._move(Tensor.to, (values, device), kwargs)
        with self.world.asking(CPU, by_name=True):
            out: Tensor = func(*args, **kwargs)
        if device.type == "cuda":
            self._note_copy(out, DEVICE, at_once=False)
            self.world.settle(out)
        return out

    def _move(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """Move a tensor, or change its dtype or format where it is."""
        world, tensor = self.world, args[0]
        here = world.device_of(tensor)
        copy = kwargs.pop("copy", False)
        if func is not Tensor.to:
            device, dtype, at_once, form = DEVICE if func is Tensor.cuda else CPU, None, False, None
        elif len(args) > 1 and isinstance(args[1], Tensor):
            device, dtype, at_once, form = world.device_of(args[1]), args[1].dtype, False, None
        else:
            device, dtype, at_once, form = torch._C._nn._parse_to(*args[1:], **kwargs)
        changes = {"dtype": dtype} if dtype is not None else {}
        if form is not None:
            changes["memory_format"] = form
        with world.asking(here, by_name=False):
            changed = tensor.to(**changes, copy=copy) if changes or copy else tensor
        if device is None or device.type == here.type:
            return changed
        target = DEVICE if device.type == "cuda" else CPU
        self._note_copy(changed, target, at_once=at_once)
        return world.moved(changed, target)

    def _note_copy(self, tensor: Tensor, to: torch.device, *, at_once: bool) -> None:
        what = f"copy to the {'device' if to == DEVICE else 'host'} at {place()}"
        self.world.notes.copies[what] += tensor.nbytes
        if to == CPU or not at_once:
            self.world.notes.waits[what] += 1


def _check_generator(generator: Any, device: torch.device) -> None:
    on_device = device.type == DEVICE.type
    if generator is not None and isinstance(generator, DeviceGenerator) != on_device:
        one, other = ("CPU", "device") if on_device else ("device", "CPU")
        raise RefusedByDevice(
            f"expected a generator of the {other}, got one of the {one}; draw on the CPU, then move the numbers"
        )
