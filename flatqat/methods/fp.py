"""Full precision, fine-tuned from the common start for as many steps on the same batches as every QAT rule.

The reference of every comparison: what a quantized row loses against it is due to quantization alone.
"""

from flatqat.methods._base import Method


class FullPrecision(Method):
    quantizes = False
    reference = True


METHOD = FullPrecision
