"""What a step asks of a GPU: it never waits for a result, and tensors are treated together.

Counted on a pretended device, below autograd, backward passes and optimizers included. An operator on a list
of tensors (`torch._foreach_*`) counts once, as on a GPU, where it is one launch for up to a hundred or so.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.nn import functional as F

from flatqat import registry
from flatqat.methods.base import Method, Setup
from flatqat.methods.batchnorm import preserved_statistics
from flatqat.models.base import build
from flatqat.quant.apply import quantize_
from flatqat.spec import QuantSpec, Recipe
from flatqat.testing.pretended import pretended_device
from flatqat.testing.pretended.notes import Notes

RECIPE = Recipe(pretrain_steps=0, steps=1000, batch_size=4)
PARAMETERS = 24  # of `tiny` with LSQ at 4 bits; a loop over them has so many operations


Begun = tuple[Method, tuple[torch.Tensor, torch.Tensor], Notes]


@contextmanager
def begun(name: str, source: str = "tiny", **settings: object) -> Iterator[Begun]:
    """A method on a pretended device after `begin` and two steps, a batch, and what is noted from then on."""
    method_class = registry.load(registry.METHODS, name)
    if method_class.quantizes:
        settings = {"ranges": "minmax", **settings}  # the quickest
    model = build(source, classes=10, seed=0)
    quantize_(model.net, QuantSpec.parse("4" if method_class.quantizes else "fp"))
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(4, 3, 32, 32, generator=generator), torch.randint(10, (4,), generator=generator)
    with pretended_device() as there:
        batch = x.to(there.device), y.to(there.device)
        setup = Setup(model=model.to(there.device), loss=F.cross_entropy, recipe=RECIPE, val_loss=lambda: 1.0)
        method = method_class(setup, method_class.Config(**settings))
        method.begin([batch])
        for _ in range(2):
            method.step(*batch)
        there.notes.clear()
        yield method, batch, there.notes


def step(name: str, source: str = "tiny", **settings: object) -> Notes:
    """What is noted of one step."""
    with begun(name, source, **settings) as (method, batch, notes):
        method.step(*batch)
        return notes


NEVER_WAIT = (
    "fp",
    "qat",
    "anchor",
    "sam",
    "asam",
    "gsam",
    "sagm",
    "saq",
    "ema",
    "swad",
    "lookahead",
    "dampen",
)


@pytest.mark.parametrize("name", [*NEVER_WAIT, "freeze", "fqat", "gaqat"])
def test_a_step_does_not_wait(name: str) -> None:
    notes = step(name)
    assert not notes.waits
    assert not notes.copies


def test_freezing_by_disorder_waits_once_every_k_steps() -> None:
    waits = []
    with begun("gaqat", window=2, every=3) as (method, batch, notes):  # the next step is the third
        for _ in range(4):
            notes.clear()
            method.step(*batch)
            waits.append(notes.waits.total())
    assert waits == [1, 0, 0, 1]


def test_learning_to_round_waits_once_a_layer_however_long_it_learns() -> None:
    waits = []
    for iterations in (4, 8):
        with begun("adaround", iterations=iterations, images=2) as (method, batch, notes):
            method.begin([batch])
            waits.append(notes.waits)
    assert waits[0] == waits[1] != {}


@pytest.mark.parametrize(("source", "rounded", "most"), [("tiny", 10, 1.4), ("cifar:resnet20", 40, 1.5)])
def test_quantization_adds_two_kernels_per_rounded_tensor(source: str, rounded: int, most: float) -> None:
    """One forward and one backward; step sizes are updated together with all other parameters.

    74 kernels beside 54, and 259 beside 179: 1.37 and 1.45 times those of full precision.
    """
    full, quantized = (len(step(name, source).kernels) for name in ("fp", "qat"))
    assert quantized == full + 2 * rounded
    assert quantized <= most * full


def own(name: str, **settings: object) -> int:
    """How many more kernels a step launches than one of QAT."""
    return len(step(name, **settings).kernels) - len(step("qat").kernels)


@pytest.mark.parametrize(("name", "most"), [("ema", 1), ("swad", 1), ("lookahead", 2)])
def test_an_average_is_one_operation(name: str, most: int) -> None:
    settings = {"k": 3} if name == "lookahead" else {}
    assert own(name, **settings) == most < PARAMETERS


def second_pass() -> int:
    """The kernels of a forward and backward pass."""
    with begun("qat") as (method, batch, notes):
        method.optimizer.zero_grad()
        notes.clear()
        with preserved_statistics(method.model):
            method.task_gradient(*batch)
        return len(notes.kernels)


# Loops over the parameters took 75, 121, 124, 250 and 80, and with those over units 181 and 216. What is left
# are sums of single tensors (gsam), shifted weights (saq), and means over channels and units (the last two).
MOST = {"sam": 10, "asam": 15, "sagm": 15, "gsam": 50, "saq": 30, "fqat": 35, "gaqat": 40}


@pytest.mark.parametrize(("name", "most"), MOST.items())
def test_besides_its_second_pass_a_method_takes_a_few_operations(name: str, most: int) -> None:
    assert 0 < own(name) - second_pass() <= most


def test_the_state_of_freezing_is_one_vector() -> None:
    assert step("freeze").kernels.count("lerp_") == 2  # of frequencies and of means, for all layers
