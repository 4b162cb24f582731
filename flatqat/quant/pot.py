"""PoT: the levels are powers of two, dense around zero and sparse near the clipping bound α.

The magnitudes of B bits are 0 and 2^−i for i = 0 .. 2^B − 2, times α. Everything else is as in APoT:
normalized weights, one bit for the sign, the straight-through gradient and that of α, and the initial values.
Powers below 2^−14 are left out, which does not affect weights up to 5 bits and unsigned inputs up to 4: more
bits only add levels so close to zero that they make no difference to the layer's sum.

Source: Miyashita et al. 2016 (arXiv 1603.01025) and Zhou et al. 2017, INQ (arXiv 1702.03044), in the form
that Li, Dong, Wang 2020 compare APoT with (arXiv 1909.13144, section 2). At 2 bits it equals APoT.
"""

from flatqat.quant.apot import APoT

SMALLEST_POWER = 14


class PoT(APoT):
    """Power-of-two quantization (Miyashita et al. 2016): APoT with one power of two per level."""

    @staticmethod
    def magnitudes(bits: int) -> tuple[float, ...]:
        """Return 0 and the powers of two up to 1, in increasing order."""
        return (0.0, *(2.0**-i for i in reversed(range(min(2**bits - 2, SMALLEST_POWER) + 1))))


QUANTIZER = PoT
