"""What a step asks of a GPU: it never waits for a result, and tensors are treated together."""

import pytest
import torch
from torch.nn import functional as F

from flatqat import registry
from flatqat.methods.base import Method, Setup
from flatqat.methods.batchnorm import preserved_statistics
from flatqat.models.base import build
from flatqat.quant.apply import quantize_
from flatqat.spec import QuantSpec, Recipe
from tests.helpers.launches import Launches, launches

RECIPE = Recipe(pretrain_steps=0, steps=1000, batch_size=4)
PARAMETERS = 24  # of `tiny` with LSQ at 4 bits; a loop over them has so many operations


def begun(name: str, **settings: object) -> tuple[Method, tuple[torch.Tensor, torch.Tensor]]:
    """A method on `tiny` after `begin` and two steps, and a batch."""
    method_class = registry.load(registry.METHODS, name)
    model = build("tiny", classes=10, seed=0)
    quantize_(model.net, QuantSpec.parse("4" if method_class.quantizes else "fp"))
    setup = Setup(model=model, loss=F.cross_entropy, recipe=RECIPE, val_loss=lambda: 1.0)
    method = method_class(setup, method_class.Config(**settings))
    generator = torch.Generator().manual_seed(0)
    batch = torch.rand(4, 3, 32, 32, generator=generator), torch.randint(10, (4,), generator=generator)
    method.begin([batch])
    for _ in range(2):
        method.step(*batch)
    return method, batch


def step(name: str, **settings: object) -> Launches:
    """The launches of one step."""
    method, batch = begun(name, **settings)
    with launches() as seen:
        method.step(*batch)
    return seen


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
    assert step(name).waits == []


def test_freezing_by_disorder_waits_once_every_k_steps() -> None:
    method, batch = begun("gaqat", window=2, every=3)  # the next step is the third
    waits = []
    for _ in range(4):
        with launches() as seen:
            method.step(*batch)
        waits.append(seen.waits.count("cpu"))
    assert waits == [1, 0, 0, 1]


def own(name: str, **settings: object) -> int:
    """How many more kernels a step launches than one of QAT."""
    return len(step(name, **settings).kernels) - len(step("qat").kernels)


@pytest.mark.parametrize(("name", "most"), [("ema", 1), ("swad", 1), ("lookahead", 2)])
def test_an_average_is_one_operation(name: str, most: int) -> None:
    settings = {"k": 3} if name == "lookahead" else {}
    assert own(name, **settings) == most < PARAMETERS


def second_pass() -> int:
    """The kernels of a forward and backward pass."""
    method, batch = begun("qat")
    method.optimizer.zero_grad()
    with launches() as seen, preserved_statistics(method.model):
        method.task_gradient(*batch)
    return len(seen.kernels)


# Loops over the parameters took 75, 121, 124, 250 and 80, and with those over units 181 and 216. What is left
# are sums of single tensors (gsam), shifted weights (saq), and means over channels and units (the last two).
MOST = {"sam": 10, "asam": 15, "sagm": 15, "gsam": 50, "saq": 30, "fqat": 35, "gaqat": 40}


@pytest.mark.parametrize(("name", "most"), MOST.items())
def test_besides_its_second_pass_a_method_takes_a_few_operations(name: str, most: int) -> None:
    assert 0 < own(name) - second_pass() <= most


def test_the_state_of_freezing_is_one_vector() -> None:
    assert step("freeze").kernels.count("lerp_") == 2  # of frequencies and of means, for all layers
