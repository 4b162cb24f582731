"""Packing: bit for bit what is documented, and for 4 bits what ONNX reads."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from flatqat.export.packing import pack


def test_three_bits_cross_the_end_of_a_byte():
    # 5 = 101, 3 = 011, 6 = 110, lowest bit first: 101 110 01|1, read from the lowest bit of each byte
    assert pack(np.array([5, 3, 6]), 3).tolist() == [0b10_011_101, 0b1]


@pytest.mark.parametrize("bits", range(1, 17))
def test_bits_lie_where_they_are_said_to(bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, 101)
    data = pack(values.reshape(1, 101), bits)
    assert len(data) == -(-101 * bits // 8)
    stream = sum(int(value) << (i * bits) for i, value in enumerate(values))
    assert int.from_bytes(data.tobytes(), "little") == stream
    every = np.unpackbits(data, count=101 * bits, bitorder="little").reshape(101, bits)
    assert np.array_equal(every @ (1 << np.arange(bits)), values)


@pytest.mark.parametrize(("kind", "low"), [(TensorProto.INT4, -8), (TensorProto.UINT4, 0)])
def test_four_bits_are_those_of_onnx(kind, low):
    values = np.arange(low, low + 15)  # an odd number
    tensor = helper.make_tensor("x", kind, [15], pack(values, 4).tobytes(), raw=True)
    assert numpy_helper.to_array(tensor).astype(int).tolist() == values.tolist()
