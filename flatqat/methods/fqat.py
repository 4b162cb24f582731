"""FQAT-style training (a reconstruction): layers whose gradients flip their sign too often are frozen.

    d = 1/(n − 1) · Σ 1[sign g_t ≠ sign g_{t+1}];   every K steps a layer stands still if d > r;
    the others step with ½ (g + ∇L(w + e)), e as in `sagm`

A reconstruction after the abstract and what is public: neither the body of the paper nor its authors' code
was available, and none of the hyper-parameters are theirs. The abstract has layer-wise freezing, guided by a
metric of gradient disorder that finds unstable layers at each step; that unstable means much disorder
(`freeze_when=high`), that SAGM is the flatness objective, and that frozen means standing still is the reading
here. For the other ones see the options, for what they mean and for the controls `disorder.py`.

Idea: Jiang et al. 2025, "FQAT" (arXiv 2509.00859), abstract.
"""

from dataclasses import dataclass

from flatqat.methods import disorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(disorder.Config):
    pass


class FQAT(disorder.DisorderFreezing):
    Config = Config


METHOD = FQAT
