"""What CUDA refuses, what it waits for, and what it computes in a random order.

The tables hold names of operators in torch's namespace `aten`. They follow the documentation of
`torch.use_deterministic_algorithms`, and that of CUDA semantics for what waits.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

OnDevice = Callable[[Tensor], bool]

COPIES = {"copy_", "_foreach_copy_"}  # from one device to another
INDEXED = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}
# Besides pointwise operators, these take a number of the CPU as a tensor without axes.
TAKES_NUMBERS = {"masked_fill", "masked_fill_", "fill", "fill_", *INDEXED}
# The size of what they return, or what they return to Python, is known when the device has computed it.
WAITS = {
    "_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "unique_dim",
    "unique_consecutive", "unique_dim_consecutive", "bincount", "_linalg_check_errors",
}  # fmt: skip
NO_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_local_scalar_dense"}
# Sums of floating point numbers by atomic additions, in whatever order they come.
UNORDERED = {
    "adaptive_avg_pool2d_backward", "_adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward",
    "cumsum", "ctc_loss", "embedding_dense_backward", "grid_sampler_2d_backward", "histc", "index_add",
    "index_add_", "max_unpool2d", "nll_loss2d_forward", "nll_loss2d_backward", "put_",
    "reflection_pad2d_backward", "replication_pad2d_backward", "scatter_add", "scatter_add_",
    "scatter_reduce", "upsample_bicubic2d_backward", "upsample_bilinear2d_backward",
    "upsample_nearest2d_backward", "_upsample_bilinear2d_aa_backward", "bincount",
}  # fmt: skip
# CUDA has no products of matrices of integers, which a CPU has.
PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "addmv", "mv", "dot", "convolution"}


@cache
def name_of(func: Any) -> str:
    """Return the name of an operator without its overload; with its namespace, unless that is torch's own."""
    return str(func._schema.name).removeprefix("aten::")


def tensors(*trees: Any) -> list[Tensor]:
    """Return all tensors in arguments or results."""
    found = []
    for tree in trees:  # those of torch.utils._pytree take most of the time of an operator
        if isinstance(tree, Tensor):
            found.append(tree)
        elif isinstance(tree, list | tuple):
            found += tensors(*tree)
        elif isinstance(tree, Mapping):
            found += tensors(*tree.values())
    return found


def strangers(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], there: OnDevice) -> list[Tensor]:
    """Return the tensors of the CPU that an operator does not take beside tensors of the device."""
    name, given = name_of(func), tensors(args, kwargs)
    if name in COPIES:
        return []
    if name in INDEXED and there(args[0]):
        indices = {id(t) for t in tensors(args[1])}  # an index may lie anywhere, and is copied
        given = [t for t in given if id(t) not in indices]
    takes_numbers = torch.Tag.pointwise in func.tags or name.startswith("_foreach") or name in TAKES_NUMBERS
    changed = {id(t) for t in _changed(func, args, kwargs)}
    return [
        t for t in given if not there(t) and not (takes_numbers and t.dim() == 0 and id(t) not in changed)
    ]


def waits(func: Any, args: Sequence[Any], there: OnDevice) -> str:
    """Return why the host waits for the device; an empty text if it does not."""
    name = name_of(func)
    if name in WAITS:
        return name.strip("_")
    if name in COPIES:
        waiting = crossing(func, args, there) and not (len(args) > 2 and args[2])  # the third: not to wait
        return "copy between device and host" if waiting else ""
    if name not in INDEXED:
        return ""
    indices, value = tensors(args[1]), args[2] if len(args) > 2 else None
    if any(not there(index) for index in indices):
        return "copy of an index to the device"
    filled = isinstance(value, Tensor) and value.numel() == 1 and not there(value)
    masks = any(index.dtype in (torch.bool, torch.uint8) for index in indices)
    return "index by a mask" if masks and not (filled and len(indices) == 1) else ""


def crossing(func: Any, args: Sequence[Any], there: OnDevice) -> list[Tensor]:
    """Return the tensors that an operator copies from one device to the other."""
    if name_of(func) not in COPIES:
        return []
    pairs = zip(tensors(args[0]), tensors(args[1]), strict=True)
    return [source for target, source in pairs if there(target) != there(source)]


def unordered(func: Any, given: Sequence[Tensor]) -> bool:
    """Return whether the result depends on the order in which the device happens to add."""
    return name_of(func) in UNORDERED and any(t.is_floating_point() for t in given)


def has_kernel(func: Any, given: Sequence[Tensor]) -> bool:
    """Return whether CUDA has the operator; what torch knows of that depends on how it was built."""
    integers = all(not (t.is_floating_point() or t.is_complex()) for t in given)
    if name_of(func) in PRODUCTS and integers:
        return False
    return func.namespace != "aten" or not _known() or _registered(func.name())


@cache
def launches(func: Any) -> bool:
    """Return whether an operator runs a kernel: no view, and not memory alone."""
    is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
    return not is_view and name_of(func) not in NO_KERNEL


def _changed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Return the tensors that an operator writes to."""
    return tensors([args[i] if i < len(args) else kwargs.get(name) for i, name in _written(func)])


@cache
def _written(func: Any) -> list[tuple[int, str]]:
    """Return the positions and names of the arguments that an operator writes to."""
    arguments = enumerate(func._schema.arguments)
    return [(i, a.name) for i, a in arguments if a.alias_info is not None and a.alias_info.is_write]


@cache
def _known() -> bool:
    return _registered("aten::add.Tensor")


@cache
def _registered(name: str) -> bool:
    return bool(torch._C._dispatch_has_computed_kernel_for_dispatch_key(name, "CUDA"))
