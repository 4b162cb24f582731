"""LSQ: the step size is a parameter, learned together with the weights.

v̂ = s · round(clip(v / s, qmin, qmax)). The gradient of s is that of `fake_quantize`, multiplied by
g = 1 / sqrt(N · qmax), where N counts the values that share one step size: the weights of an output channel
(of the layer, with one scale per tensor), or the features of one image for inputs. The initial step size is
s = 2 · mean|v| / sqrt(qmax), for inputs over the first calibration batch. Inputs that are never negative
during calibration use the unsigned grid 0 .. 2^b − 1.

Source: Esser et al. 2020, "Learned Step Size Quantization" (arXiv 1902.08153), equations 1 to 3 and section
2.2. Implementations differ in N for per-channel weights; here N is the number of weights in one channel.
"""

from math import sqrt

from torch import Tensor

from flatqat.quant.base import Quantizer
from flatqat.quant.observe import Observer


class LSQ(Quantizer):
    """Learned step size quantization (Esser et al. 2020): a uniform grid whose step size is trained."""

    learns_scale = True

    def grad_scale(self, v: Tensor) -> float:
        """Return 1 / sqrt(N · qmax) for the N values that share a step size."""
        shared = v.numel() / self.scale.numel() if self.role == "weight" else v[0].numel()
        return 1 / sqrt(shared * self.qmax)

    def initialize(self, observed: Observer) -> None:
        """Set s = 2 · mean|v| / sqrt(qmax)."""
        self.set_scale(2 * observed.first_mean_abs / sqrt(self.qmax))


QUANTIZER = LSQ
