"""MMSegmentation's networks: the same numbers as its own, its checkpoints, what is refused and why."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat.errors import WeightsError
from flatqat.models.base import build, load_initial_
from flatqat.quant.apply import calibrate, quantizable, quantize_
from flatqat.quant.audit import audit, summary
from flatqat.spec import QuantSpec
from tests.helpers.mmseg_configs import DEEPLAB, MARKS, PIDNET, SEGFORMER, path_of

pytestmark = MARKS
OCRNET = "ocrnet_hr18s_4xb2-40k_cityscapes-512x1024"
DDRNET = "ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024"
STDC = "stdc1_4xb12-80k_cityscapes-512x1024"
ENCNET = "encnet_r50-d8_4xb2-40k_cityscapes-512x1024"
IMAGES = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
MASKS = torch.randint(19, (2, 64, 96), generator=torch.Generator().manual_seed(0))


def ours(name, classes=19):
    return still(build(f"mmseg:{name}", classes=classes, seed=0))


def theirs(name):
    """What MMSegmentation itself builds of a config, but for downloads and statistics of many GPUs."""
    import mmseg.models  # noqa: F401  # fills its registry
    from mmengine.config import Config
    from mmengine.model import revert_sync_batchnorm
    from mmseg.registry import MODELS

    model = Config.fromfile(path_of(name), import_custom_modules=False).model
    model.pretrained = None
    model.backbone.pop("init_cfg", None)
    sees = model.pop("data_preprocessor")
    torch.manual_seed(1)
    segmentor = still(revert_sync_batchnorm(MODELS.build(model)))
    segmentor.data_preprocessor = MODELS.build({**sees, "size": None})
    return segmentor


def still(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
        if type(module).__name__ == "DropPath":
            module.drop_prob = 0.0
    return model


def checkpoint(segmentor, path):
    """As the package writes them."""
    state = {"data_preprocessor.mean": torch.zeros(3, 1, 1), **segmentor.state_dict()}
    torch.save({"meta": {"classes": ("road", "sidewalk"), "iter": 160000}, "state_dict": state}, path)
    return path


@pytest.mark.parametrize("name", [SEGFORMER, DEEPLAB, OCRNET, PIDNET, DDRNET, STDC])
def test_a_checkpoint_gives_the_logits_of_the_package(name, tmp_path):
    segmentor, model = theirs(name).eval(), ours(name).eval()
    load_initial_(model, f"mmseg:{name}", checkpoint(segmentor, tmp_path / "w.pth"))
    seen = model.normalize(IMAGES)
    theirs_seen = segmentor.data_preprocessor({"inputs": list(255 * IMAGES.flip(1)), "data_samples": None})
    torch.testing.assert_close(seen, theirs_seen["inputs"], atol=1e-5, rtol=0)  # 255 x, and rounded means
    with torch.no_grad():
        expected = segmentor.encode_decode(seen, [{"img_shape": IMAGES.shape[2:]}] * 2)
        got = model(IMAGES)
    if name == SEGFORMER:  # attention sums in another order than torch's kernel for inference
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    else:
        assert torch.equal(got, expected)


@pytest.mark.parametrize(("name", "weights"), [(DEEPLAB, [1.0, 0.4]), (OCRNET, [1.0, 0.4])])
def test_the_loss_of_training_is_that_of_the_package(name, weights, tmp_path):
    """Where that is plain cross-entropy: the weighted sum over heads, and its gradient."""
    segmentor, model = theirs(name).train(), ours(name).train()
    load_initial_(model, f"mmseg:{name}", checkpoint(segmentor, tmp_path / "w.pth"))
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = [SegDataSample(gt_sem_seg=PixelData(data=mask[None]), metainfo={}) for mask in MASKS]
    found = segmentor.loss(model.normalize(IMAGES), samples)
    expected = sum(value for key, value in found.items() if "loss" in key)
    output = model(IMAGES)
    assert [weight for weight, _ in output] == weights
    loss = sum(weight * nn.functional.cross_entropy(logits, MASKS) for weight, logits in output)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    ("name", "weights", "left_out"),
    [
        (PIDNET, [1.0, 0.4], ["decode_head.d_head.", "decode_head.d_cls_seg."]),
        (DDRNET, [1.0, 0.4], []),
        (STDC, [1.0, 1.0, 1.0], ["auxiliary_head.2."]),
        (ENCNET, [1.0, 0.4], ["decode_head.se_layer."]),
    ],
)
def test_heads_of_training(name, weights, left_out):
    model = ours(name, classes=4)
    heads = model.train()(IMAGES)
    assert [weight for weight, _ in heads] == weights
    assert {tuple(logits.shape) for _, logits in heads} == {(2, 4, 64, 96)}
    assert model.net.left_out == ["data_preprocessor.", *left_out]
    sum(weight * logits.mean() for weight, logits in heads).backward()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert isinstance(model.eval()(IMAGES), torch.Tensor)


def test_normalization_and_window_are_those_of_the_config():
    model = ours(SEGFORMER)
    assert (model.task, str(model.window)) == ("segmentation", "1024:768")
    assert model.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406], abs=1e-4)
    assert model.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225], abs=1e-4)
    assert ours(PIDNET).window is None


@pytest.mark.parametrize(("name", "divisor"), [(PIDNET, 8), (DDRNET, 8), (SEGFORMER, 1)])
def test_sides_that_the_strides_do_not_divide(name, divisor):
    """As if zeros had stood below and to the right of what the network sees, and the logits had been cut."""
    model = ours(name, classes=4).eval()
    images = IMAGES[:, :, :61, :83]
    padded = F.pad(model.normalize(images), (0, -83 % divisor, 0, -61 % divisor))
    with torch.no_grad():
        expected = model.net(padded)[:, :, :61, :83]
        assert torch.equal(model(images), expected)


def test_a_new_head_means_all_of_them(tmp_path):
    """They start as PyTorch starts a convolution, not with mmsegmentation's zero biases."""
    model, fresh = ours(PIDNET, classes=4), ours(PIDNET, classes=4)
    segmentor = theirs(PIDNET)
    path = checkpoint(segmentor, tmp_path / "w.pth")
    load_initial_(model, f"mmseg:{PIDNET}", path, new_head=True)
    heads = {
        f"decode_head.{conv}.{part}" for conv in ("conv_seg", "p_cls_seg") for part in ("weight", "bias")
    }
    for name, tensor in model.net.state_dict().items():
        if name in heads:
            assert tensor.shape[0] in (1, 4)
            assert tensor.count_nonzero() == tensor.numel(), name
        else:
            assert torch.equal(tensor, segmentor.state_dict()[name]), name
    with pytest.raises(WeightsError, match="4 of another shape"):
        load_initial_(fresh, f"mmseg:{PIDNET}", path)


def test_only_what_the_network_lacks_is_left_out(tmp_path):
    segmentor = theirs(DEEPLAB)
    segmentor.decode_head.d_head = nn.Conv2d(1, 1, 1)
    path = checkpoint(segmentor, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"2 not in the network \(first: decode_head\.d_head\.bias\)"):
        load_initial_(ours(DEEPLAB), f"mmseg:{DEEPLAB}", path)


@pytest.mark.parametrize(
    ("name", "first"),
    [(SEGFORMER, "backbone.layers.0.0.projection"), (PIDNET, "backbone.stem.0.conv")],
)
def test_all_that_inference_runs_is_quantized(name, first):
    net = ours(name, classes=4).net
    layers = list(quantizable(net))
    assert (layers[0], layers[-1]) == (first, "decode_head.conv_seg")
    quantize_(net, QuantSpec.parse("4"))
    calibrate(net, [IMAGES])
    rows = audit(net, IMAGES)
    bits = {row.layer: row.bits for row in rows if row.tensor == "weight"}
    assert list(bits) == layers
    assert [bits[name] for name in layers] == [8, *[4] * (len(layers) - 2), 8]
    assert not summary(rows)["floating"]
