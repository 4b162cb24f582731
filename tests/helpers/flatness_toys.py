"""A small conv net whose dense Hessian is cheap, and quadratics of known spectrum."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from flatqat.flatness.params import LossFn, Params, flatten, unflatten


class SmallNet:
    """conv - BN - ReLU twice, then linear: 196 parameters, BatchNorm in eval mode, 12 fixed examples."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.net = nn.Sequential(
                nn.Conv2d(2, 3, 3, bias=False),
                nn.BatchNorm2d(3),
                nn.ReLU(),
                nn.Conv2d(3, 4, 3, bias=False),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(4, 4),
            )
            self.net(torch.randn(64, 2, 5, 5))  # BatchNorm statistics other than 0 and 1
            self.images, self.labels = torch.randn(12, 2, 5, 5), torch.randint(4, (12,))
        self.net.eval().to(dtype)
        self.images = self.images.to(dtype)

    @property
    def params(self) -> Params:
        return dict(self.net.named_parameters())

    def loss(self, params: Params, part: slice = slice(None)) -> Tensor:
        logits = torch.func.functional_call(self.net, params, (self.images[part],))
        return cross_entropy(logits, self.labels[part])

    def chunks(self, size: int) -> list[LossFn]:
        return [lambda params, at=at: self.loss(params, slice(at, at + size)) for at in range(0, 12, size)]

    def dense_hessian(self) -> Tensor:
        """The n x n Hessian in float64, by double backward along every unit vector."""
        net = SmallNet(torch.float64)
        like = {name: value.detach() for name, value in net.params.items()}
        return torch.autograd.functional.hessian(lambda w: net.loss(unflatten(w, like)), flatten(like))


def quadratic(matrix: Tensor) -> LossFn:
    """0.5 w^T A w over the flattened params: the Hessian is the symmetric A, the gradient A w."""

    def loss(params: Params) -> Tensor:
        w = torch.cat([params[name].reshape(-1) for name in sorted(params)])
        return 0.5 * w @ matrix @ w

    return loss


def symmetric(spectrum: list[float], seed: int = 0) -> Tensor:
    """A float64 matrix with this spectrum and random eigenvectors."""
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(len(spectrum), len(spectrum), generator=generator).double())
    return basis @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ basis.T
