"""Integers of a few bits, packed densely.

Element i has the bits i · b to i · b + b - 1 of a stream, its lowest bit first, and bit j of the stream is
bit j mod 8 of byte j // 8, counted from the lowest. For 4 bits that is how ONNX packs its INT4: the first
element of a pair is in the lower half of a byte.
"""

from typing import Any

import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def pack(values: np.ndarray[Any, Any], bits: int) -> Bytes:
    """Return integers, of any shape, as bytes: the lowest `bits` bits of each in two's complement."""
    if bits == 8:  # bit by bit, large weights would need several times their memory
        return values.astype(np.uint8).reshape(-1)
    flat = values.reshape(-1)
    every = np.empty((len(flat), bits), np.uint8)
    for bit in range(bits):
        every[:, bit] = (flat >> bit) & 1
    return np.packbits(every, bitorder="little")
