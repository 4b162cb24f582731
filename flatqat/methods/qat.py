"""Standard quantization-aware training: minimise L(Q(W)), the gradient passing straight through the rounding.

With the `lsq` quantizer this is LSQ (Esser et al. 2020, arXiv 1902.08153). On an unquantized model it is `fp`.
"""

from flatqat.methods._base import Method


class QAT(Method):
    pass


METHOD = QAT
