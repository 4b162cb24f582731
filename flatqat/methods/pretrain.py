"""Full precision from scratch: the common start that every other rule fine-tunes.

Runs by itself where no weights are given; its cell is trained, not scored, unless asked for by name.
"""

from flatqat.methods.fp import FullPrecision
from flatqat.spec import Budget


class Pretrain(FullPrecision):
    start = None
    reference = False

    @classmethod
    def steps(cls, budget: Budget) -> int:
        return budget.pretrain_steps

    @property
    def peak_learning_rate(self) -> float:
        return self.setup.budget.pretrain_lr


METHOD = Pretrain
