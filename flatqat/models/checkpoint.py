"""Read files of weights, without executing code: every set of named tensors that a file holds.

Training scripts nest state dicts in other dicts and lists, beside optimizers and averages. A set is named by
its path there, such as `state_dict_ema` or `ema.state_dict`, and `FILE#NAME` chooses one.
"""

import errno
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, load_file
from torch import Tensor

from flatqat.errors import WeightsError, found, listed
from flatqat.memory import out_of_memory

State = dict[str, Tensor]
DEEPEST = 4  # how many dicts and lists are around a state dict at most


def split(path: Path) -> tuple[Path, str]:
    """Return the file and the entry of `FILE#ENTRY`; no entry if there is none, or a file of that name."""
    file, _, entry = str(path).rpartition("#")
    return (path, "") if not file or "/" in entry or os.path.exists(path) else (Path(file), entry)


def file_of(path: Path) -> Path:
    """Return the file of `FILE#ENTRY`. Raises WeightsError unless it is a regular file."""
    file, _ = split(path)
    if not os.path.isfile(file):  # a FIFO would wait for ever
        raise WeightsError(
            f"weights {file}: expected a readable file (safetensors, or a torch state dict), "
            f"got {found(file)}; check --weights"
        )
    return file


def read_entries(path: Path) -> dict[str, State]:
    """Return every state dict in a safetensors or torch file, by the name of its entry.

    An entry is a dict of tensors with names as keys. A file that is one itself has the entry "".

    Raises WeightsError if the file is missing, damaged, holds anything that only code could make, or no
    state dict.
    """
    file = file_of(path)
    tree = _read(file)
    found_entries = list(_entries(tree))
    entries = dict(found_entries)
    if len(entries) < len(found_entries):
        names = [name for name, _ in found_entries]
        twice = next(name for name in names if names.count(name) > 1)
        raise WeightsError(f"weights {file}: expected one entry {twice}, got several; save one alone")
    if not entries:
        raise WeightsError(f"weights {file}: expected a state dict of named tensors, got {_described(tree)}")
    return entries


def chosen(entries: Mapping[str, State], name: str, path: Path) -> dict[str, State]:
    """Return the entries called `name` or below it, or the tensors of one whose names begin with it.

    Raises WeightsError, which lists the entries, if there is none.
    """
    below = {key: state for key, state in entries.items() if key == name or key.startswith(f"{name}.")}
    if below or not name:
        return below or dict(entries)
    parts: dict[str, State] = {}
    for key, state in entries.items():
        whole = f"{key}." if key else ""
        prefix = f"{name.removeprefix(whole)}."
        part = {k.removeprefix(prefix): tensor for k, tensor in state.items() if k.startswith(prefix)}
        parts |= {f"{whole}{prefix}"[:-1]: part} if part else {}
    if parts:
        return parts
    there = listed([key for key in entries if key], 12, empty="no named entry")
    raise WeightsError(f"weights {path}: expected the name of an entry after #, got {name!r}; got {there}")


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return _safetensors(file)
        with warnings.catch_warnings():  # about odd pickle protocols, before the error that matters
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        if error.errno == errno.EINVAL:  # torch looks for a part beyond the end
            cut = "expected a complete file, got one that is cut off or damaged"
            raise WeightsError(f"weights {file}: {cut}; get it again") from error
        problem = f"expected a readable file, got: {error.strerror or error}"
        raise WeightsError(f"weights {file}: {problem}; check --weights") from error
    except Exception as error:  # readers raise many types on other bytes
        if out_of_memory(error):
            raise
        refused = re.search(r"GLOBAL (\S+)", str(error))
        raise WeightsError(
            f"weights {file}: expected tensors alone (safetensors, or a torch state dict), got a file that "
            f"holds {refused[1] if refused else 'other objects or is damaged'}; "
            "save the state dict with safetensors.torch.save_file"
        ) from error


def _safetensors(file: Path) -> State:
    """Return the tensors of a safetensors file. Raises OSError with the cause, which `load_file` hides."""
    with file.open("rb") as opened:
        if any("\ud800" <= character <= "\udfff" for character in str(file)):  # bytes that are not UTF-8
            return load(opened.read())  # since `load_file` refuses the name
        return load_file(file)  # without a copy in memory


def _entries(tree: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, State]]:
    if _is_state(tree):
        yield name, dict(tree)
    elif isinstance(tree, Mapping | list | tuple) and depth < DEEPEST:
        pairs = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        for key, value in pairs:
            yield from _entries(value, f"{name}.{key}" if name else str(key), depth + 1)


def _is_state(tree: Any) -> bool:
    named = isinstance(tree, Mapping) and tree and all(isinstance(key, str) for key in tree)
    return bool(named) and all(isinstance(value, Tensor) for value in tree.values())


def _described(tree: Any) -> str:
    if not isinstance(tree, Mapping):
        return type(tree).__name__
    if not tree:
        return "an empty dict"
    odd = (k for k, v in tree.items() if not (isinstance(k, str) and isinstance(v, Tensor)))
    key = next(odd)
    return f"a dict with {type(tree[key]).__name__} under the key {key!r}"
