"""A pretended CUDA device on a machine without one: real numbers in the CPU's memory, devices by a tag.

    with pretended_device() as there:
        model.to(there.device)
        method.step(x.to(there.device), y.to(there.device))
    there.notes.waits

Results are those of the CPU to the bit. What CUDA would refuse is refused, at the line that asks for it,
and what costs time there is noted: waits of the host, copies, kernels. A real device also adds in another
order and draws other random numbers, which this one does not show.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from flatqat.testing.pretended.functions import Functions
from flatqat.testing.pretended.notes import RefusedByDevice as RefusedByDevice
from flatqat.testing.pretended.operators import Operators
from flatqat.testing.pretended.replaced import replaced
from flatqat.testing.pretended.world import World


@contextmanager
def pretended_device() -> Iterator[World]:
    """Give a device to make tensors on, and to move tensors and modules to, within the context.

    Outside, its tensors are plain tensors of the CPU; in another context they are on the device again.
    """
    world = World()
    functions = Functions(world)
    with (
        torch.autograd.set_multithreading_enabled(False),  # contexts are those of this thread
        replaced(world.notes, functions),
        Operators(world),
        functions,
    ):
        yield world
