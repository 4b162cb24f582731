"""Names of torch that do not go by tensors, as they are on a machine with the device."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode

from flatqat.testing.pretended.notes import Notes, place

GIBIBYTE = 2**30
HostGenerator = torch.Generator


class DeviceGenerator(torch.Generator):
    """A generator of the device. It gives the numbers of the CPU's, which a real one does not."""

    def __new__(cls, device: Any = None) -> "DeviceGenerator":
        """Make one, in memory of the CPU."""
        return super().__new__(cls)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """The device."""
        return torch.device("cuda", 0)


class _Generators(type):
    def __call__(cls, device: Any = "cpu") -> torch.Generator:
        return DeviceGenerator() if torch.device(device).type == "cuda" else HostGenerator(device)

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, HostGenerator)


class _AnyGenerator(metaclass=_Generators):
    """What stands for `torch.Generator`: makes one of either device."""


class _Autocast(torch.autocast):
    """Autocast of the CPU in place of CUDA's, which would switch itself off here."""

    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(_host(device_type), *args, **kwargs)


@contextmanager
def replaced(notes: Notes, functions: TorchFunctionMode) -> Iterator[None]:
    """Replace what would ask a driver; let `functions` see backward passes that are written in Python."""
    import torch._dynamo  # as optimizers do when first used; it must not see what is replaced

    asks, run_backward = torch.is_autocast_enabled, torch.autograd._engine_run_backward  # type: ignore[attr-defined]

    def seen_backward(*args: Any, **kwargs: Any) -> Any:
        with functions:  # which does not see what the function `backward` of torch calls in turn
            return run_backward(*args, **kwargs)

    def synchronize(device: Any = None) -> None:
        notes.waits[f"synchronize at {place()}"] += 1

    in_cuda: dict[str, Any] = {
        "synchronize": synchronize,
        "set_device": lambda device: None,
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: None,
        "mem_get_info": lambda device=None: (8 * GIBIBYTE, 80 * GIBIBYTE),
        "get_device_name": lambda device=None: "pretended",
        "empty_cache": lambda: None,
    }
    in_torch: dict[str, Any] = {
        "autocast": _Autocast,
        "Generator": _AnyGenerator,
        "is_autocast_enabled": lambda device_type="cuda": asks(_host(device_type)),
    }
    with (
        mock.patch.multiple(torch.cuda, **in_cuda),
        mock.patch.multiple(torch, **in_torch),
        mock.patch.object(torch.autograd, "_engine_run_backward", seen_backward),
    ):
        yield


def _host(device_type: str) -> str:
    return "cpu" if device_type == "cuda" else device_type
