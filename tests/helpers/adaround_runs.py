"""AdaRound, or another method without steps, on a network."""

from torch import nn
from torch.nn import functional as F

from flatqat.methods.adaround import AdaRound, Config
from flatqat.methods.base import Setup
from tests.helpers.method_runs import RECIPE

QUICK = Config(iterations=150, rate=0.03)


def rounded(net: nn.Module, data, config: Config | None = None, method_class=AdaRound, seed: int = 0):
    """The method after `begin` and `end`; it has changed the network in place."""
    method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE, seed=seed), config)
    method.begin(data)
    method.end(data)
    return method
