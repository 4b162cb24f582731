"""GAQAT-style training (a reconstruction): step sizes lose their task gradient where it keeps its sign.

    d = 1/(n − 1) · Σ 1[sign g_t ≠ sign g_{t+1}] of each step size's task gradient g;   every K steps:
    if d < r it goes along ½ g′ alone, g′ = ∂L(w + e)/∂s, e as in `sagm`; all else along ½ (g + g′)

A reconstruction after the abstract and the public reviews of its submission: neither the body of the paper
nor its authors' code was available, and none of the hyper-parameters are theirs. The reviews have LSQ, SAGM,
the number of sign flips over n steps, a check every K steps against a threshold, and task gradients frozen
where the disorder is low; one of them has the other gradient paused. For the options and the controls see
`disorder.py`; r is one that freezes some step sizes and not others on `digits-c`.

Idea: Jiang et al. 2024, "GAQAT" (arXiv 2412.05551), abstract.
"""

from dataclasses import dataclass

from flatqat.methods import disorder
from flatqat.methods.disorder import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(disorder.Config):
    freeze_target: Target = "scale_task_grad"
    freeze_when: disorder.When = "low"
    threshold: float = 0.4


class GAQAT(disorder.DisorderFreezing):
    Config = Config


METHOD = GAQAT
