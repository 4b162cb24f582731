"""torchvision's networks: what they see is what their weights saw, and their official files load whole."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat import registry
from flatqat.data.images.views import eval_crop
from flatqat.errors import UsageError, WeightsError
from flatqat.models.base import Normalized, build, load_initial_
from flatqat.models.weights import load_weights_

pytestmark = pytest.mark.filterwarnings("ignore")  # torchvision warns of itself at import
models = pytest.importorskip(
    "torchvision.models", reason="torchvision is not installed", exc_type=ImportError
)
NOISE = np.random.default_rng(0).integers(0, 256, (300, 401, 3), dtype=np.uint8)


def source():
    return registry.load(registry.MODELS, "torchvision")


def seen_by(model, image):
    pixels = torch.tensor(eval_crop(model.eval_transform)(image, 0)).permute(2, 0, 1)
    return model.normalize(pixels / 255)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("resnet18", "ResNet18_Weights.IMAGENET1K_V1"),
        ("mobilenet_v2.IMAGENET1K_V2", "MobileNet_V2_Weights.IMAGENET1K_V2"),
        ("efficientnet_b1.IMAGENET1K_V1", "EfficientNet_B1_Weights.IMAGENET1K_V1"),  # bicubic, 240 pixels
    ],
)
def test_images_arrive_as_the_transforms_of_the_weights_give_them(name, weights):
    image, model = Image.fromarray(NOISE), build(f"torchvision:{name}", classes=10, seed=0)
    expected = models.get_weight(weights).transforms()(image)
    # (x - mean) / std in both, but for the order of the operations
    torch.testing.assert_close(seen_by(model, image), expected, atol=1e-6, rtol=0)


def test_two_weights_of_a_network_are_two_names():
    names = source().names()
    assert {"resnet50", "resnet50.IMAGENET1K_V1", "resnet50.IMAGENET1K_V2"} <= set(names)
    first, tagged, second = (
        build(f"torchvision:{name}", classes=2, seed=0).preprocessing
        for name in ("resnet50", "resnet50.IMAGENET1K_V1", "resnet50.IMAGENET1K_V2")
    )
    assert first == tagged
    assert "short side 256" in first
    assert "short side 232" in second
    assert not [name for name in names if "FEATURES" in name]  # made for detection: no classifier
    with pytest.raises(UsageError, match=r"unknown torchvision model 'resnet50\.V3'"):
        build("torchvision:resnet50.V3", classes=2, seed=0)


def test_vision_transformers_have_the_size_of_their_weights():
    with torch.device("meta"):  # 86 million weights that nobody needs here
        model = source().build("vit_b_16.IMAGENET1K_SWAG_E2E_V1", 10)
    assert model.net.encoder.pos_embedding.shape[1] == 24 * 24 + 1
    assert model.eval_transform.crop == 384


def official_file(path, name, weights, monkeypatch):
    """A file with the tensors of the official one, and the network that torchvision itself makes of it."""
    torch.manual_seed(0)
    whole = models.get_model(name, weights=None, aux_logits=True, init_weights=False)
    for norm in (module for module in whole.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.1)
    state = whole.state_dict()
    torch.save(state, path)
    monkeypatch.setattr(weights, "get_state_dict", lambda self, **_: state)
    return models.get_model(name, weights=weights.IMAGENET1K_V1).eval()


@pytest.mark.parametrize(
    ("name", "weights", "size"),
    [("googlenet", "GoogLeNet_Weights", 64), ("inception_v3", "Inception_V3_Weights", 96)],
)
def test_networks_with_auxiliary_heads_load_as_in_torchvision(name, weights, size, tmp_path, monkeypatch):
    theirs = official_file(tmp_path / "w.pth", name, getattr(models, weights), monkeypatch)
    model = build(f"torchvision:{name}", classes=1000, seed=0)
    load_initial_(model, f"torchvision:{name}", tmp_path / "w.pth")
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        expected = theirs(model.normalize(images))
        assert torch.equal(model.eval()(images), expected)
    assert isinstance(model.train()(images), torch.Tensor)


def test_auxiliary_heads_are_left_out_of_no_other_network(tmp_path):
    model = build("torchvision:resnet18", classes=10, seed=0)
    torch.save(model.net.state_dict() | {"aux1.fc.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"1 not in the network \(first: aux1.fc.weight\)"):
        load_initial_(model, "torchvision:resnet18", tmp_path / "w.pth")


def test_old_densenet_files_load_as_in_torchvision(tmp_path):
    from torchvision.models import densenet

    old_file, theirs, ours = (
        models.DenseNet(growth_rate=4, block_config=(1, 2), num_init_features=8, num_classes=3)
        for _ in range(3)
    )
    old = {
        name.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in name else name: tensor
        for name, tensor in old_file.state_dict().items()
        if not name.endswith("num_batches_tracked")  # younger than these files
    }
    assert "features.denseblock2.denselayer2.norm.1.weight" in old
    torch.save(old, tmp_path / "w.pth")
    densenet._load_state_dict(theirs, SimpleNamespace(get_state_dict=lambda **_: dict(old)), progress=False)
    load_initial_(Normalized(ours, (0, 0, 0), (1, 1, 1)), "torchvision:densenet121", tmp_path / "w.pth")
    assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in ours.state_dict().items())


def test_old_vision_transformer_files_load_as_in_torchvision(tmp_path):
    sizes = {
        "image_size": 32,
        "patch_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 8,
        "mlp_dim": 8,
    }
    old_file, theirs, ours = (models.VisionTransformer(**sizes) for _ in range(3))
    old = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
        for name, tensor in old_file.state_dict().items()
    }
    torch.save(old, tmp_path / "w.pth")
    theirs.load_state_dict(dict(old))  # without a version, as of old, torchvision renames by itself
    load_initial_(Normalized(ours, (0, 0, 0), (1, 1, 1)), "torchvision:vit_b_16", tmp_path / "w.pth")
    assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in ours.state_dict().items())


def test_layers_that_look_at_a_files_version_load(tmp_path):
    """MNASNet refuses a state dict that says no version."""
    net, fresh = (build("torchvision:mnasnet0_5", classes=10, seed=seed).net for seed in (1, 2))
    torch.save(net.state_dict(), tmp_path / "w.pth")
    load_weights_(fresh, tmp_path / "w.pth")
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in fresh.state_dict().items())
