"""Transformers: what the audit says is quantized is, and what it calls floating point is the rest."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from flatqat.models.attention import split_attention_
from flatqat.quant.apply import calibrate, latent_weights, quantize_
from flatqat.quant.audit import audit, summary
from flatqat.spec import QuantSpec

pytestmark = pytest.mark.filterwarnings("ignore")  # torchvision and timm warn of themselves at import
IMAGES = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def timm_vit():
    timm = pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", num_classes=4, **sizes)


def timm_swin():
    timm = pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)
    sizes = {"img_size": 32, "window_size": 4, "embed_dim": 12, "depths": (2, 2), "num_heads": (1, 2)}
    return timm.create_model("swin_tiny_patch4_window7_224", num_classes=4, **sizes)


def torchvision_vit():
    models = pytest.importorskip(
        "torchvision.models", reason="torchvision is not installed", exc_type=ImportError
    )
    sizes = {
        "image_size": 32,
        "patch_size": 8,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 24,
        "mlp_dim": 48,
    }
    return models.VisionTransformer(num_classes=4, **sizes)


def torchvision_swin():
    models = pytest.importorskip(
        "torchvision.models", reason="torchvision is not installed", exc_type=ImportError
    )
    return models.SwinTransformer([4, 4], 12, [2, 2], [1, 2], [4, 4], num_classes=4)


class EncoderLayer(nn.Module):
    """torch's own encoder layer, which in inference may run as one kernel that calls no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


BLOCK = "encoder.layers.encoder_layer_{}.self_attention"
STAGE = "features.{}.{}.attn.{}"


def torchvision_vit_split():
    net = torchvision_vit()
    split_attention_(net)
    return net


FLOATING = {
    timm_vit: {"cls_token parameter", "pos_embed parameter"},
    timm_swin: {
        f"layers.{i}.blocks.{j}.attn.relative_position_bias_table parameter" for i in (0, 1) for j in (0, 1)
    },
    torchvision_vit: {"class_token parameter", "encoder.pos_embedding parameter"}
    | {f"{BLOCK.format(i)}.in_proj_weight parameter" for i in (0, 1)}
    | {f"{BLOCK.format(i)}.out_proj input" for i in (0, 1)},
    torchvision_vit_split: {"class_token parameter", "encoder.pos_embedding parameter"},
    torchvision_swin: {
        f"{STAGE.format(i, j, what)}"
        for i in (1, 3)
        for j in (0, 1)
        for what in ("qkv input", "proj input", "relative_position_bias_table parameter")
    },
    EncoderLayer: {"encoder.self_attn.in_proj_weight parameter", "encoder.self_attn.out_proj input"},
}


def quantized(make, bits):
    torch.manual_seed(0)
    net = make()
    if make in (torchvision_vit, torchvision_vit_split):  # starts with zeros
        nn.init.normal_(net.heads.head.weight)
    quantize_(net, QuantSpec.parse(bits))
    calibrate(net, [IMAGES])
    return net.eval()


def inference(net):
    with torch.no_grad():
        return net(IMAGES)


@pytest.mark.parametrize("make", FLOATING, ids=lambda make: make.__name__)
def test_the_audit_lists_what_is_left_in_floating_point(make):
    net = quantized(make, "4")
    rows = audit(net, IMAGES)
    assert set(summary(rows)["floating"]) == FLOATING[make]
    linear = [name for name, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    on_grid = [row for row in rows if row.tensor == "weight" and row.bits]
    assert [row.layer for row in on_grid] == linear
    assert [row.bits for row in on_grid] == [8, *[4] * (len(linear) - 2), 8]
    assert all(2 <= row.codes <= row.levels == 2**row.bits for row in rows if row.bits)


@pytest.mark.parametrize("bits", ["4", "w3a32"])
@pytest.mark.parametrize("make", FLOATING, ids=lambda make: make.__name__)
def test_inference_computes_with_the_weights_that_the_audit_saw(make, bits):
    """Against the same network with Q(W) written into plain layers, and in the mode that training runs in.

    Fused kernels of inference take a layer's weight without calling the layer.
    """
    net = quantized(make, bits)
    plain = quantized(make, bits)
    on_grid = {name: quantizer(w).detach() for name, (w, quantizer) in latent_weights(net).items()}
    for name, module in list(plain.named_modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            assert torch.equal(module.weight, on_grid[f"{name}.parametrizations.weight.original"])
    out = inference(net)
    assert torch.equal(out, inference(plain))
    # fused and plain attention sum in another order; a step of a grid later on may flip for it
    atol = 1e-5 if bits != "4" else 0.05 * float(out.std())
    torch.testing.assert_close(out, net(IMAGES).detach(), atol=atol, rtol=0)


@pytest.mark.parametrize("make", [torchvision_vit, EncoderLayer], ids=lambda make: make.__name__)
def test_the_output_projection_of_attention_is_quantized(make):
    """Its weight is never used by calling the layer: only the parametrization reaches it."""
    net = quantized(make, "w2")
    before = inference(net)
    name, layer = next((n, m) for n, m in net.named_modules() if n.endswith("out_proj"))
    with torch.no_grad():
        quantizer = layer.parametrizations.weight[0]
        latent = layer.parametrizations.weight.original
        latent += (
            0.4
            * quantizer.step_size
            * (torch.round(latent / quantizer.step_size) - latent / quantizer.step_size)
        )
    assert torch.equal(inference(net), before), f"{name}: moved within the cells of the grid"
    with torch.no_grad():
        latent.neg_()
    assert not torch.equal(inference(net), before)
