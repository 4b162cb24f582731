"""Read pickles of byte arrays without running anything that they name.

A pickle may name any function to be called. Only the five names of a pickled uint8 array are accepted here,
and each is replaced by a harmless class of this module, so that data on disk cannot even call numpy.
"""

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flatqat.data.images.encoded import Pixels
from flatqat.errors import DataError


def load(file: Path) -> Any:
    """Return the dicts, lists, numbers, text (of Python 2 as bytes) and uint8 arrays in a pickle.

    Raises DataError if the file is damaged or names anything else.
    """
    try:
        with file.open("rb") as opened:
            return _plain(_Unpickler(opened, encoding="bytes").load())
    except Exception as error:  # damaged pickles raise nearly every type
        raise DataError(f"{file}: expected a pickle of arrays, got {error}; restore the original") from error


class _Dtype:
    def __init__(self, code: str | bytes, *_: object) -> None:
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"an array of {code!r} where bytes (u1) are needed")

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and alignment, which mean nothing for single bytes."""


class _Array:
    values: Pixels

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, _, fortran, content = state
        order: Literal["F", "C"] = "F" if fortran else "C"
        self.values = np.frombuffer(content, np.uint8).reshape(shape, order=order)


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: str, codec: str | bytes) -> bytes:
    if codec not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"bytes in the codec {codec!r}")
    return text.encode("latin1")  # how Python 3 writes bytes in protocol 2


_KNOWN = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name}, which is refused because it could run code")
        return _KNOWN[module, name]


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key.decode() if isinstance(key, bytes) else key: _plain(item) for key, item in value.items()}
    return value.values if isinstance(value, _Array) else value
