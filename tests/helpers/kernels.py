"""What tests of kernels share."""

import pytest
import torch
from torch import Tensor

from flatqat.quant.kernels import compiled

needs_compiler = pytest.mark.skipif(compiled.kernels() is None, reason="this machine has no C++ compiler")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
