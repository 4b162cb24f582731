"""Curvature of real transformers, whose fused attention has no second derivative, by finite differences.

Central differences use the first derivative alone: Hv = (g(w + hv) - g(w - hv)) / 2h + O(h^2).
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat.flatness.derivatives import gradient, hessian_product
from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.params import LossFn, Params, flatten, gaussian, moved, unflatten

pytestmark = pytest.mark.filterwarnings("ignore")  # torchvision and timm warn of themselves at import
STEP = 1e-5  # errs by h^2 = 1e-10 of truncation and eps / h = 1e-11 of rounding, times large derivatives


def timm_vit() -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 4, "depth": 1, "num_heads": 2, "mlp_ratio": 1}
    return timm.create_model("vit_tiny_patch16_224", num_classes=3, **sizes)


def timm_swin() -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)
    sizes = {"img_size": 16, "window_size": 2, "embed_dim": 4, "depths": (2,), "num_heads": (2,)}
    return timm.create_model("swin_tiny_patch4_window7_224", num_classes=3, **sizes)


def torchvision_vit() -> nn.Module:
    models = pytest.importorskip(
        "torchvision.models", reason="torchvision is not installed", exc_type=ImportError
    )
    sizes = {"image_size": 8, "patch_size": 4, "num_layers": 1, "num_heads": 2, "hidden_dim": 4, "mlp_dim": 4}
    net = models.VisionTransformer(num_classes=3, **sizes)
    nn.init.normal_(net.heads.head.weight)  # starts with zeros
    return net


def loss_of(make: Callable[[], nn.Module]) -> tuple[LossFn, Params]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make().double().eval()
        side = 16 if make is timm_swin else 8
        images = torch.randn(6, 3, side, side)
    labels = torch.arange(6) % 3
    params = {name: p.detach() for name, p in net.named_parameters()}
    return lambda p: F.cross_entropy(functional_call(net, p, (images.double(),)), labels), params


def by_differences(loss: LossFn, params: Params, vector: Tensor) -> Tensor:
    along = unflatten(vector, params)
    ahead, behind = (flatten(gradient([loss], moved(params, along, sign * STEP))) for sign in (1, -1))
    return (ahead - behind) / (2 * STEP)


@pytest.mark.parametrize("make", [timm_vit, timm_swin, torchvision_vit], ids=lambda make: make.__name__)
def test_products_are_those_of_finite_differences(make: Callable[[], nn.Module]) -> None:
    loss, params = loss_of(make)
    for seed in (0, 1):
        vector = flatten(gaussian(params, torch.Generator().manual_seed(seed)))
        vector /= vector.norm()
        got, expected = hessian_product([loss], params)(vector), by_differences(loss, params, vector)
        # of the differences, see STEP
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.norm()))
        assert got.norm() > 1e-3


def test_the_top_eigenvalue_is_that_of_the_dense_hessian() -> None:
    loss, params = loss_of(timm_vit)
    size = flatten(params).numel()
    dense = torch.stack([by_differences(loss, params, unit) for unit in torch.eye(size, dtype=torch.float64)])
    torch.testing.assert_close(dense, dense.mT, rtol=0, atol=1e-6 * float(dense.norm()))
    found = top_eigenvalue([loss], params, iterations=100, tolerance=1e-8)
    expected = float(torch.linalg.eigvalsh((dense + dense.mT) / 2)[-1])
    assert found.value == pytest.approx(expected, rel=1e-5)  # of the differences
