"""GAQAT-style training (a reconstruction): step sizes lose their task gradient while its sign is stable.

    d = 1/(n − 1) · Σ 1[sign g_t ≠ sign g_{t+1}] of each step size's task gradient g;   every K steps:
    if d < r it steps along ½ g′ alone, g′ = ∂L(w + e)/∂s, e as in `sagm`; all else along ½ (g + g′)

A reconstruction from the abstract and the public reviews of its submission: neither the body of the paper nor
its authors' code was available, and none of the hyper-parameters are theirs. The reviews mention LSQ, SAGM,
the number of sign changes over n steps, a check every K steps against a threshold, and task gradients that
are frozen where the disorder is low; in one review it is the other gradient that is paused. `disorder.py`
explains the settings; r is chosen so that some but not all step sizes are frozen on `digits-c`.

Idea: Jiang et al. 2024, "GAQAT" (arXiv 2412.05551), abstract.
"""

from dataclasses import dataclass

from flatqat.methods import disorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(disorder.Config):
    """The settings of `gaqat`."""

    freeze_target: disorder.FreezeTarget = "scale_task_grad"
    freeze_when: disorder.FreezeWhen = "low"
    threshold: float = 0.4


class GAQAT(disorder.DisorderFreezing):
    """GAQAT-style training (after Jiang et al. 2024): step sizes with orderly task gradients lose them."""

    Config = Config


METHOD = GAQAT
