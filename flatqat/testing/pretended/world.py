"""Which tensors are on the pretended device, and what the call that is running asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from flatqat.testing.pretended.notes import Notes, RefusedByDevice
from flatqat.testing.pretended.storages import Storages

CPU, DEVICE = torch.device("cpu"), torch.device("cuda", 0)
RESIDENTS: Storages[bool] = Storages()  # of all contexts: a cache keeps tensors of a device


class World:
    """The tensors of two devices, all in the memory of the CPU.

    Attributes:
        device: The pretended device, to make tensors on and to move them to.
        notes: What was seen so far.
        origins: Where tensors of the CPU were made, for those made within the context.
    """

    def __init__(self) -> None:
        self.device, self.notes = DEVICE, Notes()
        self.origins: Storages[str] = Storages()
        self._asked: list[tuple[torch.device, bool]] = [(CPU, False)]

    def there(self, tensor: Tensor) -> bool:
        """Return whether a tensor is on the device."""
        return RESIDENTS.get(tensor) is True

    def device_of(self, tensor: Tensor) -> torch.device:
        """Return the device that a tensor is on."""
        return DEVICE if self.there(tensor) else CPU

    def settle(self, tensor: Tensor, device: torch.device = DEVICE) -> None:
        """Put a tensor that was just made on a device."""
        if device.type == DEVICE.type:
            RESIDENTS.put(tensor, True)

    @contextmanager
    def asking(self, device: torch.device, by_name: bool) -> Iterator[None]:
        """Within the context, let a call make tensors on a device, which it has by name or by its tensors."""
        self._asked.append((DEVICE if device.type == DEVICE.type else CPU, by_name))
        try:
            yield
        finally:
            self._asked.pop()

    def place_of_result(self, given: list[Tensor]) -> torch.device:
        """Return where an operator on some tensors puts its result."""
        device, by_name = self._asked[-1]
        if by_name or not given:
            return device
        return DEVICE if any(map(self.there, given)) else CPU

    def moved(self, tensor: Tensor, device: torch.device) -> Tensor:
        """Return a copy on a device, through which gradients pass."""
        if tensor.requires_grad and torch.is_grad_enabled():
            return _Move.apply(tensor, self, device)  # type: ignore[no-any-return]
        return self.copied(tensor, device)

    def copied(self, tensor: Tensor, device: torch.device) -> Tensor:
        """Return a copy on a device, without a history."""
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            copy = tensor.detach().clone()
        self.settle(copy, device)
        return copy

    def refuse(self, tensors: list[Tensor], name: str) -> None:
        """Raise RefusedByDevice for tensors of the CPU that an operator does not take."""
        shape, origin = tuple(tensors[0].shape), self.origins.get(tensors[0])
        made = f"made in {origin}" if origin else "made earlier"
        raise RefusedByDevice(
            f"expected tensors on one device, got one on the CPU, {shape}, {made}, in {name.strip('_')}; "
            "make it with device=x.device, move it with .to(x.device), or register it as a buffer"
        )


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, tensor: Tensor, world: World, device: torch.device) -> Tensor:
        ctx.back = world, world.device_of(tensor)  # type: ignore[attr-defined]
        return world.copied(tensor, device)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None, None]:
        world, device = ctx.back  # type: ignore[attr-defined]
        return world.copied(grad, device), None, None
