"""torchvision's segmentation networks: what they compute, their second head, weights for other classes."""

import pytest
import torch

from flatqat import registry
from flatqat.errors import WeightsError
from flatqat.models.base import build, load_initial_
from flatqat.quant.apply import quantizable, quantize_, quantizers
from flatqat.spec import QuantSpec

pytestmark = pytest.mark.filterwarnings("ignore")  # torchvision warns of itself at import
models = pytest.importorskip(
    "torchvision.models", reason="torchvision is not installed", exc_type=ImportError
)
IMAGES = torch.rand(2, 3, 33, 50, generator=torch.Generator().manual_seed(0))
DEEPLAB, LRASPP = "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"


def whole(name, **options):
    torch.manual_seed(0)
    net = models.get_model(name, weights=None, weights_backbone=None, **options)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return net


def test_names_carry_tags_and_leave_classification_alone():
    names = registry.load(registry.MODELS, "torchvision").names()
    assert {"resnet50", DEEPLAB, f"{LRASPP}.COCO_WITH_VOC_LABELS_V1", "fcn_resnet50"} <= set(names)
    assert build(f"torchvision:{DEEPLAB}", classes=5, seed=0).task == "segmentation"
    assert build("torchvision:resnet18", classes=5, seed=0).task == "classification"


@pytest.mark.parametrize(("name", "two"), [(DEEPLAB, True), (LRASPP, False)])
def test_it_computes_what_torchvisions_own_does(name, two, tmp_path):
    theirs = whole(name, num_classes=21, **({"aux_loss": True} if two else {}))
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours = build(f"torchvision:{name}", classes=21, seed=1)
    load_initial_(ours, f"torchvision:{name}", tmp_path / "w.pth")
    seen = (IMAGES - torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)) / torch.tensor(
        (0.229, 0.224, 0.225)
    ).view(3, 1, 1)
    with torch.no_grad():
        assert torch.equal(ours.eval()(IMAGES), theirs.eval()(seen)["out"])
        for module in ours.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        expected, output = theirs.train()(seen), ours.train()(IMAGES)
    if two:
        assert [weight for weight, _ in output] == [1.0, 0.4]
        assert all(torch.equal(o, expected[k]) for (_, o), k in zip(output, ("out", "aux"), strict=True))
    else:
        assert torch.equal(output, expected["out"])


def test_a_new_head_means_both_heads(tmp_path):
    torch.save(whole(DEEPLAB, num_classes=21, aux_loss=True).state_dict(), tmp_path / "w.pth")
    source, ours, fresh = (
        torch.load(tmp_path / "w.pth"),
        *(build(f"torchvision:{DEEPLAB}", classes=4, seed=1) for _ in range(2)),
    )
    load_initial_(ours, f"torchvision:{DEEPLAB}", tmp_path / "w.pth", new_head=True)
    heads = {f"{head}.4.{part}" for head in ("classifier", "aux_classifier") for part in ("weight", "bias")}
    for name, tensor in ours.net.state_dict().items():
        assert len(tensor) == 4 if name in heads else torch.equal(tensor, source[name]), name
    with pytest.raises(WeightsError, match=r"4 of another shape \(first: aux_classifier\.4\.bias"):
        load_initial_(fresh, f"torchvision:{DEEPLAB}", tmp_path / "w.pth")


def test_a_layer_inside_is_no_head(tmp_path):
    """Narrower inside: its own outputs and the next layer's inputs are fewer, and nothing is drawn anew."""
    state = whole(LRASPP, num_classes=4).state_dict()
    for name in ("classifier.scale.1.weight", "classifier.low_classifier.bias"):
        state[name] = state[name][:-1]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="of another shape"):
        load_initial_(
            build(f"torchvision:{LRASPP}", classes=4, seed=1),
            f"torchvision:{LRASPP}",
            tmp_path / "w.pth",
            new_head=True,
        )


def test_the_second_head_is_not_quantized_and_the_classifier_is_last():
    net = build(f"torchvision:{DEEPLAB}", classes=4, seed=0).net
    assert list(quantizable(net))[-1] == "classifier.4"
    quantize_(net, QuantSpec.parse("4"))
    bits = {name: q.bits for name, q in quantizers(net)}
    assert bits["backbone.0.0"] == bits["classifier.4"] == 8
    assert bits["classifier.1"] == 4
    assert not [name for name in bits if name.startswith("aux_classifier")]
