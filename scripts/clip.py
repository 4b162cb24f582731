"""LSQ without its rounding: values end where those of LSQ end and stay as they are in between.

    v̂ = clip(v, s · qmin, s · qmax),   with the gradients of v and of s that LSQ has for its rounded v̂

A control of a study, not something to deploy: it tells what clipping alone does to a network, as

    flatqat bench run --plugin scripts/clip.py --method fp,qat --bits w32a3,w32a3@clip

Ranges start where those of LSQ start, also with `ranges=mse`, which looks for the smallest error of rounding
and would clip nothing here. They are learned by the same rule: at equal upstream gradients they move by equal
steps. Layers kept at 8 bits are plain `lsq`. Codes and costs are those of LSQ, although values between the
ends have no few bits: `flatqat test scripts/clip.py` refuses it, rightly, since its values are no grid.
"""

import torch
from torch import Tensor

from flatqat.quant.base import RangeInit
from flatqat.quant.lsq import LSQ
from flatqat.quant.observe import Observer
from flatqat.quant.ops import surrogate


class Clip(LSQ):
    """The ranges of LSQ without its levels."""

    edge_quantizer = "lsq"

    def project(self, u: Tensor) -> Tensor:
        """Return clip(u, s · qmin, s · qmax), with the gradients of LSQ's rounded values."""
        step = self.step_size.detach()
        clipped = u.detach().clamp(step * self.qmin, step * self.qmax)
        return surrogate(clipped, super().project(u), None)

    @torch.no_grad()
    def calibrate(self, observed: Observer, range_init: RangeInit = "own", percentile: float = 99.9) -> None:
        """Set the range that LSQ would set."""
        lsq = LSQ(bits=self.bits, role=self.role, scale_shape=tuple(self.scale.shape)).to(self.scale)
        lsq.calibrate(observed, range_init, percentile)
        self.load_state_dict(lsq.state_dict())


QUANTIZER = Clip
