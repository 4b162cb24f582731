"""Standard quantization-aware training: minimize L(Q(W)) with the straight-through estimator.

With the `lsq` quantizer this is LSQ (Esser et al. 2020, arXiv 1902.08153); unquantized it is `fp`.
"""

from flatqat.methods.base import Method


class QAT(Method):
    """Standard quantization-aware training."""


METHOD = QAT
