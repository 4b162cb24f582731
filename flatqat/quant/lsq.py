"""LSQ: the step size is learned by gradient descent together with the weights.

v̂ = s · round(clip(v / s, low, high)); the gradient of s is that of `fake_quantize`, multiplied by
g = 1 / sqrt(N · high), where N counts the values that share one step size: weights per output channel
(per layer with one scale per tensor), or features of one image for inputs. Start: s = 2 · mean|v| /
sqrt(high), for inputs from the first calibration batch. Inputs that were never negative in calibration use
the unsigned grid 0 .. 2^b − 1.

Source: Esser et al. 2020, "Learned Step Size Quantization" (arXiv 1902.08153), equations 1 to 3 and section
2.2. Implementations differ in N for per-channel weights: dividing by the channels is the reading used here.
"""

from math import sqrt

from torch import Tensor

from flatqat.quant.base import Quantizer
from flatqat.quant.observe import Observer


class LSQ(Quantizer):
    learns_scale = True

    def grad_scale(self, v: Tensor) -> float:
        shared = v.numel() / self.scale.numel() if self.role == "weight" else v[0].numel()
        return 1 / sqrt(shared * self.qmax)

    def initialize(self, seen: Observer) -> None:
        self.set_scale(2 * seen.first_mean_abs / sqrt(self.qmax))


QUANTIZER = LSQ
