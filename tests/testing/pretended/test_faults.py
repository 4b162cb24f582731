"""Faults of code that has only run on a CPU: each is refused as CUDA refuses it, or noted, at its line."""

import copy
import inspect
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.testing.pretended import RefusedByDevice, pretended_device
from flatqat.testing.pretended.notes import Notes

Fault = Callable[[Tensor], object]
OUTSIDE = torch.ones(4)


class Shifts(nn.Module):
    """Has a tensor that `to` does not move."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.ones(4)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.mean


class Doubles(torch.autograd.Function):
    """Has a fault in its backward pass alone."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * torch.full((4,), 2.0)


def drawn_by(generator: torch.Generator) -> Fault:
    return lambda x: torch.rand(4, device=x.device, generator=generator)


def accumulated(x: Tensor) -> None:
    total = torch.zeros(())
    total += x.sum()


def moved_alone(x: Tensor) -> None:
    weight = torch.ones(4, requires_grad=True)
    (weight * x).sum().backward()


REFUSED: dict[str, Fault] = {
    "a tensor made on the CPU": lambda x: x + torch.zeros(4),
    "a list": lambda x: x * torch.tensor([1.0, 2.0, 3.0, 4.0]),
    "a tensor from before": lambda x: x + OUTSIDE,
    "one of NumPy": lambda x: x + torch.from_numpy(np.ones(4, np.float32)),
    "a buffer that is none": lambda x: Shifts().to(x.device)(x),
    "a module that was not moved": lambda x: nn.Linear(4, 4)(x),
    "a parameter that was not moved": moved_alone,
    "labels on the CPU": lambda x: F.cross_entropy(x[None], torch.tensor([0])),
    "an index of gather": lambda x: x.gather(0, torch.tensor([1])),
    "an index on the device, into the CPU": lambda x: OUTSIDE[x.long()],
    "a number among vectors": lambda x: torch.stack([x[0], torch.tensor(1.0)]),
    "a sum that stays on the CPU": accumulated,
    "out=": lambda x: torch.add(x, 1, out=torch.empty(4)),
    "where": lambda x: torch.where(torch.zeros(4, dtype=torch.bool), x, 0.0),
    "lists of tensors": lambda x: torch._foreach_add_([x], [torch.ones(4)]),
    "the backward pass": lambda x: Doubles.apply(x.clone().requires_grad_()).sum().backward(),
    "a copy that was moved back": lambda x: x + copy.deepcopy(x).cpu(),
    "numpy()": lambda x: x.numpy(),
    "np.asarray": lambda x: np.asarray(x),
    "a generator of the CPU": drawn_by(torch.Generator()),
    "a generator of the device": lambda x: torch.rand(4, generator=torch.Generator(device=x.device)),
    "a product of integers": lambda x: x.long()[None] @ x.long()[:, None],
}


@pytest.mark.parametrize("fault", REFUSED.values(), ids=REFUSED.keys())
def test_what_cuda_refuses(fault: Fault) -> None:
    with pretended_device() as there, pytest.raises(RefusedByDevice, match=r"^expected "):
        fault(torch.ones(4, device=there.device))


NOTED: dict[str, tuple[Fault, str]] = {
    "item": (lambda x: x.sum().item(), "local_scalar_dense"),
    "float": (lambda x: float(x[0]), "local_scalar_dense"),
    "if": (lambda x: 1 if x.sum() > 0 else 0, "local_scalar_dense"),
    "a list of numbers": (lambda x: torch.tensor([x[0], x[1]]), "copy to the host"),
    "cpu": (lambda x: x.cpu(), "copy to the host"),
    "to": (lambda x: x.to("cpu"), "copy to the host"),
    "tolist": (lambda x: x.tolist(), "copy to the host"),
    "copy_": (lambda x: torch.empty(4).copy_(x), "copy between device and host"),
    "a list to the device": (lambda x: torch.tensor([1.0], device=x.device), "copy to the device"),
    "a tensor to the device": (lambda x: torch.zeros(4).to(x.device), "copy to the device"),
    "nonzero": (lambda x: x.nonzero(), "nonzero"),
    "a mask": (lambda x: x[x > 0], "index by a mask"),
    "a mask to write by": (lambda x: x.clone().__setitem__(x > 0, x[:4]), "index by a mask"),
    "an index on the CPU": (lambda x: x[torch.tensor([1, 2])], "copy of an index to the device"),
    "unique": (lambda x: x.unique(), "unique2"),
    "equal": (lambda x: torch.equal(x, x + 1), "equal"),
    "synchronize": (lambda x: torch.cuda.synchronize(), "synchronize"),
}


@pytest.mark.parametrize(("fault", "what"), NOTED.values(), ids=NOTED.keys())
def test_what_the_host_waits_for(fault: Fault, what: str) -> None:
    with pretended_device() as there:
        x = torch.ones(4, device=there.device)
        assert not there.notes.waits
        fault(x)
    line = inspect.getsourcelines(fault)[1]
    assert f"{what} at test_faults.py:{line}" in there.notes.waits


FINE: dict[str, Fault] = {
    "a number of the CPU": lambda x: x * torch.tensor(2.0),
    "a number that is filled in by a mask": lambda x: x.clone().__setitem__(x > 0, 1.0),
    "made like another": lambda x: x + torch.zeros_like(x) + x.new_ones(4) + torch.rand(4, device=x.device),
    "a generator of the device": lambda x: drawn_by(torch.Generator(device=x.device).manual_seed(1))(x) + x,
    "a module that was moved": lambda x: nn.BatchNorm1d(4).to(x.device)(x[None].expand(2, 4)),
    "a buffer": lambda x: buffered().to(x.device)(x),
    "a copy": lambda x: copy.deepcopy(x) + x,
    "a backward pass": lambda x: (x.clone().requires_grad_() * 2).sum().backward(),
    "vmap": lambda x: torch.func.vmap(lambda v: v + torch.arange(2, device=v.device))(x.view(2, 2)),
    "masked_fill": lambda x: x.masked_fill(x > 0, 0.0),
}


def buffered() -> nn.Module:
    module = Shifts()
    mean = module.__dict__.pop("mean")
    module.register_buffer("mean", mean)
    return module


@pytest.mark.parametrize("code", FINE.values(), ids=FINE.keys())
def test_what_cuda_takes(code: Fault) -> None:
    with pretended_device() as there:
        x = torch.ones(4, device=there.device)
        assert x.is_cuda
        assert not x.is_cpu
        found = code(x)
        assert not isinstance(found, Tensor) or found.device == there.device


def seen(code: Fault) -> Notes:
    with pretended_device() as there:
        x = torch.ones(4, device=there.device)
        there.notes.clear()
        code(x)
    return there.notes


def test_only_work_on_the_device_is_a_kernel() -> None:
    assert seen(lambda x: torch.ones(4) + 1).kernels == []
    assert seen(lambda x: torch.empty_like(x).view(2, 2).t()).kernels == []
    assert seen(lambda x: (x + 1).mul_(2)).kernels == ["add", "mul_"]
    assert seen(lambda x: torch._foreach_add([x, x], 1)).kernels == ["_foreach_add"]


def test_bytes_of_copies_are_counted() -> None:
    (copied,) = seen(lambda x: torch.zeros(100).to(x.device)).copies.values()
    assert copied == 400


def test_a_copy_from_pinned_memory_is_not_waited_for() -> None:
    notes = seen(lambda x: torch.zeros(100).pin_memory().to(x.device, non_blocking=True))
    assert notes.copies
    assert not notes.waits


def test_sums_in_a_random_order_are_noted() -> None:
    index = [0, 0, 1, 1]
    assert seen(lambda x: x.new_zeros(2).index_add_(0, x.new_tensor(index).int(), x)).unordered
    assert seen(lambda x: x.cumsum(0)).unordered
    assert not seen(lambda x: x.int().cumsum(0)).unordered  # integers add up exactly


def test_the_message_says_where_the_tensor_was_made() -> None:
    with pretended_device() as there:
        x = torch.ones(4, device=there.device)
        mine = torch.zeros(4)
        line = inspect.currentframe().f_lineno - 1
        doubled = mine * 2
        with pytest.raises(RefusedByDevice, match=rf"\(4,\), made in test_faults\.py:{line}, in add; make"):
            x + doubled
        with pytest.raises(RefusedByDevice, match="made earlier"):
            x + OUTSIDE


def test_gradients_pass_between_devices() -> None:
    weight = torch.ones(4, requires_grad=True)
    with pretended_device() as there:
        (weight.to(there.device) * 3).cpu().sum().backward()
        assert weight.grad.device.type == "cpu"
    assert torch.equal(weight.grad, torch.full((4,), 3.0))


def test_autocast_lowers_the_precision() -> None:
    with pretended_device() as there, torch.autocast(there.device.type, torch.bfloat16):
        x = torch.ones(4, 4, device=there.device)
        assert torch.is_autocast_enabled(x.device.type)
        assert (x @ x).dtype == torch.bfloat16


def test_everything_is_put_back() -> None:
    before = torch.Generator, torch.autocast, torch.is_autocast_enabled, torch.cuda.synchronize
    with pretended_device() as there:
        x = torch.ones(4, device=there.device)
        assert isinstance(torch.Generator(), torch.Generator)
    assert before == (torch.Generator, torch.autocast, torch.is_autocast_enabled, torch.cuda.synchronize)
    assert x.device.type == "cpu"
    assert torch.equal(x + torch.ones(4), torch.full((4,), 2.0))
