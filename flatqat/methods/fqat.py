"""FQAT-style training (a reconstruction): layers whose gradients change sign too often are frozen.

    d = 1/(n − 1) · Σ 1[sign g_t ≠ sign g_{t+1}];   every K steps a layer is frozen if d > r;
    the others step with ½ (g + ∇L(w + e)), e as in `sagm`

A reconstruction from the abstract and other public information: neither the body of the paper nor its
authors' code was available, and none of the hyper-parameters are theirs. According to the abstract, layers
are frozen, guided by a metric of gradient disorder that identifies unstable layers at each step. Three points
are our interpretation: unstable means high disorder (`freeze_when=high`), the flatness objective is SAGM, and
a frozen layer does not change at all. `disorder.py` explains the settings, which offer alternatives.

Idea: Jiang et al. 2025, "FQAT" (arXiv 2509.00859), abstract.
"""

from dataclasses import dataclass

from flatqat.methods import disorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(disorder.Config):
    """The settings of `fqat`."""


class FQAT(disorder.DisorderFreezing):
    """FQAT-style training (after Jiang et al. 2025): layers with disorderly gradients are frozen."""

    Config = Config


METHOD = FQAT
