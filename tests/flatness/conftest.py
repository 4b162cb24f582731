"""The small net in both precisions, and its dense Hessian, built once."""

import pytest
import torch
from torch import Tensor

from tests.helpers.flatness_toys import SmallNet


@pytest.fixture(scope="session")
def net64() -> SmallNet:
    return SmallNet(torch.float64)


@pytest.fixture(scope="session")
def net32() -> SmallNet:
    return SmallNet(torch.float32)


@pytest.fixture(scope="session")
def dense(net64: SmallNet) -> Tensor:
    return net64.dense_hessian()
