"""Two processes with a part of each batch each, against one that has all of it."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from flatqat import registry
from flatqat.methods.qat import QAT
from flatqat.metrics.loss import pixel_cross_entropy
from flatqat.spec import IGNORED, Recipe
from tests.helpers.ranks_runs import forked, trained

IMAGES, STEPS = 13, 4  # 7 and 6 images
TOLERANCE = 1e-9  # double precision: sums in another order differ by 1e-16, which a few steps make larger
SETTINGS = {  # what makes a method do what it is for within a few steps
    "dampen": {"start": 0.0},
    "fqat": {"window": 2, "every": 2},
    "freeze": {"momentum": 0.3},
    "gaqat": {"window": 2, "every": 2},
    "lookahead": {"k": 2},
    "sam": {"space": "quantized"},
    "swad": {"every": 1, "n_converge": 1, "n_tolerance": 2},
}


def images(count):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, IMAGES, 3, 8, 8, generator=generator, dtype=torch.double)
    return x + torch.arange(IMAGES).view(1, -1, 1, 1, 1) / IMAGES, generator  # parts of unequal statistics


def batches():
    x, generator = images(STEPS)
    return list(zip(x, torch.randint(4, (STEPS, IMAGES), generator=generator), strict=True))


def maps():
    """Label maps of which the first part of each batch has few labels, and the second has many."""
    x, generator = images(STEPS)
    y = torch.randint(4, (STEPS, IMAGES, 8, 8), generator=generator)
    y[:, : IMAGES // 2, 1:] = IGNORED
    return list(zip(x, y, strict=True))


class Flooded(QAT):
    """A function of the loss that is not linear, as in the page on adding a method."""

    def __init__(self, setup, config=None):
        super().__init__(replace(setup, loss=lambda *pair: (setup.loss(*pair) - 1.2).abs().square()), config)


class Penalized(QAT):
    """Gradients that no backward pass of flatqat's takes, and the gradient of their norm."""

    def gradient(self, x, y):
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        loss = self.setup.loss(self.network(x), y)
        slopes = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
        decay = sum(p.square().sum() for p in parameters)  # the same in all processes
        (loss + 0.1 * sum(g.square().sum() for g in slopes) + 0.01 * decay).backward()
        return {"loss": loss.detach()}


def cases():
    methods = {name: registry.load(registry.METHODS, name) for name in registry.names(registry.METHODS)}
    found = {}
    for name, method in methods.items():
        if method.steps(Recipe(pretrain_steps=STEPS, steps=STEPS)):
            config = method.Config(**SETTINGS.get(name, {}))
            found[name] = (method, config, batches(), {"bits": "4" if method.quantizes else "fp"})
    dual = methods["anchor"].Config(coupling="dual")
    found["anchor dual"] = (methods["anchor"], dual, batches(), {})
    for name in registry.names(registry.QUANTIZERS):
        found[f"qat@{name}"] = (methods["qat"], None, batches(), {"bits": f"3@{name}"})
    found["flooded"] = (Flooded, None, batches(), {})
    found["penalized"] = (Penalized, None, batches(), {})
    for name in ("qat", "sam"):
        found[f"{name} per pixel"] = (methods[name], None, maps(), {"loss": pixel_cross_entropy})
    return found


CASES = cases()
QUICK = ("fp", "freeze", "sam", "swad", "penalized", "qat@ewgs", "qat per pixel")
"""A method of each kind, and the quantizer whose backward pass is not linear."""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What each of two processes finds, by case: of the quick ones, or of the others."""

    @cache
    def find(quick):
        def all_cases(ranks):
            return {
                name: trained(method, config, data, ranks=ranks, **options)
                for name, (method, config, data, options) in CASES.items()
                if (name in QUICK) is quick
            }

        return forked(2, tmp_path_factory.mktemp("two"), all_cases)

    return find


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_two_processes_take_the_steps_of_one(together, name):
    method, config, data, options = CASES[name]
    losses, state = trained(method, config, data, **options)
    first, second = (found[name] for found in together(name in QUICK))
    assert first[0] == pytest.approx(losses, rel=TOLERANCE)
    assert first[1].keys() == state.keys()
    for key, tensor in state.items():
        torch.testing.assert_close(first[1][key], tensor, rtol=TOLERANCE, atol=TOLERANCE, msg=key)
    assert first[0] == second[0]
    assert all(torch.equal(tensor, second[1][key]) for key, tensor in first[1].items())
