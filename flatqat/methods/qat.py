"""Standard quantization-aware training: minimise L(Q(W)), straight through the rounding.

With the `lsq` quantizer this is LSQ (Esser et al. 2020, arXiv 1902.08153); unquantized it is `fp`.
"""

from flatqat.methods.base import Method


class QAT(Method):
    pass


METHOD = QAT
