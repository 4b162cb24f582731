"""PoT: levels that are powers of two, fine around zero and coarse near the clipping bound α.

The magnitudes of B bits are 0 and 2^−i for i = 0 .. 2^B − 2, times α; all else is as in APoT: normalized
weights, one bit for the sign, the straight-through gradient and that of α, and the starts. Powers below 2^−14
are left out, which leaves weights up to 5 bits and unsigned inputs up to 4 as they are: more bits add levels
around zero alone, where they make no difference to the layer's sum.

Source: Miyashita et al. 2016 (arXiv 1603.01025) and Zhou et al. 2017, INQ (arXiv 1702.03044), in the form
that Li, Dong, Wang 2020 compare APoT with (arXiv 1909.13144, section 2). At 2 bits it is APoT.
"""

from flatqat.quant.apot import APoT

SMALLEST_POWER = 14


class PoT(APoT):
    @staticmethod
    def magnitudes(bits: int) -> tuple[float, ...]:
        return (0.0, *(2.0**-i for i in reversed(range(min(2**bits - 2, SMALLEST_POWER) + 1))))


QUANTIZER = PoT
