"""Full precision from scratch: the common start that every other rule fine-tunes.

Runs by itself where no weights are given; its cell is trained, not scored, unless asked for by name.
"""

from flatqat.methods.fp import FullPrecision
from flatqat.spec import Recipe


class Pretrain(FullPrecision):
    parent = None
    reference = False

    @classmethod
    def steps(cls, recipe: Recipe) -> int:
        return recipe.pretrain_steps

    @property
    def peak_learning_rate(self) -> float:
        return self.setup.recipe.pretrain_lr


METHOD = Pretrain
