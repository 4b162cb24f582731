"""Full precision from scratch: the common start that every other rule fine-tunes.

Runs by itself where no weights are given; its cell is trained, not scored, unless asked for by name.
"""

from flatqat.methods._base import Method
from flatqat.spec import Budget


class Pretrain(Method):
    start = None
    quantizes = False

    @classmethod
    def steps(cls, budget: Budget) -> int:
        return budget.pretrain_steps

    @property
    def peak_learning_rate(self) -> float:
        return self.setup.budget.pretrain_lr


METHOD = Pretrain
