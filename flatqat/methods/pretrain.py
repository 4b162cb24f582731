"""Full precision from scratch: the common parent that every other method fine-tunes.

It runs automatically if no weights are given; its cell is trained, but scored only if requested by name.
"""

from flatqat.methods.fp import FullPrecision
from flatqat.spec import Recipe


class Pretrain(FullPrecision):
    """Full-precision training from scratch."""

    parent = None
    reference = False

    @classmethod
    def steps(cls, recipe: Recipe) -> int:
        """Return the recipe's `pretrain_steps`."""
        return recipe.pretrain_steps

    @property
    def peak_learning_rate(self) -> float:
        """The recipe's `pretrain_lr`."""
        return self.setup.recipe.pretrain_lr


METHOD = Pretrain
