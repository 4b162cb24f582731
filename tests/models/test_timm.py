"""timm's networks: preprocessing of the weights' configuration, names with tags, files with other names."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat import registry
from flatqat.data.images.views import eval_crop
from flatqat.errors import UsageError, WeightsError
from flatqat.models.base import Normalized, build, load_initial_

pytestmark = pytest.mark.filterwarnings("ignore")  # timm warns of itself at import
timm = pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)
NOISE = np.random.default_rng(0).integers(0, 256, (300, 401, 3), dtype=np.uint8)


def source():
    return registry.load(registry.MODELS, "timm")


@pytest.mark.parametrize(
    "name",
    [
        "resnet10t",  # timm's default tag; trained at 176 pixels and tested at 224
        "resnet50.tv_in1k",
        "mobilenetv3_small_050.lamb_in1k",  # bicubic
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",  # mean and std of a half
        "convnext_tiny.in12k_ft_in1k_384",  # squashed, whatever the shape
    ],
)
def test_images_arrive_as_timm_transforms_them(name):
    config = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    model = Normalized(torch.nn.Identity(), config["mean"], config["std"], frame_of(name, config))
    image = Image.fromarray(NOISE)
    pixels = torch.tensor(eval_crop(model.eval_transform)(image, 0)).permute(2, 0, 1)
    expected = timm.data.create_transform(**config)(image)
    torch.testing.assert_close(model.normalize(pixels / 255), expected, atol=1e-6, rtol=0)


def frame_of(name, config):
    from flatqat.models.timm import _eval_transform

    return _eval_transform(name, config)


def test_the_eval_transform_comes_with_the_network():
    model = build("timm:resnet50.tv_in1k", classes=5, seed=0)
    assert str(model.eval_transform) == "resized to short side 256 (bilinear, antialiased), centre crop 224"
    assert build("timm:resnet10t", classes=5, seed=0).eval_transform.crop == 176


def test_crops_that_are_not_square_are_refused():
    config = {
        "input_size": (3, 1024, 768),
        "crop_mode": "center",
        "crop_pct": 1.0,
        "interpolation": "bicubic",
    }
    with pytest.raises(UsageError, match="square crops, got one that sees images of 1024x768"):
        frame_of("tall", config)
    with pytest.raises(UsageError, match="crop mode 'border'"):
        frame_of("padded", config | {"input_size": (3, 224, 224), "crop_mode": "border"})


def test_names_are_timms_own(monkeypatch):
    names = source().names()
    assert {"convnext_tiny", "resnet50.tv_in1k", "resnet50"} <= set(names)
    foreign = lambda: None  # noqa: E731
    foreign.__module__ = "elsewhere"
    entry = timm.model_entrypoint
    monkeypatch.setattr(timm, "model_entrypoint", lambda n: foreign if n == "resnet50" else entry(n))
    names = source().names()
    assert "convnext_tiny" in names
    assert not [name for name in names if name.partition(".")[0] == "resnet50"]


def swin(**options):
    return timm.create_model(
        "swin_tiny_patch4_window7_224",
        img_size=32,
        window_size=4,
        embed_dim=8,
        depths=(1, 1),
        num_heads=(1, 2),
        num_classes=3,
        **options,
    )


def test_files_with_other_names_load_as_in_timm(tmp_path):
    """Microsoft's Swin files count downsampling layers from the stage before, and hold buffers."""
    old_file, theirs, ours = (swin() for _ in range(3))
    old = {
        name.replace("layers.1.downsample", "layers.0.downsample").replace("head.fc.", "head."): tensor
        for name, tensor in old_file.state_dict().items()
    }
    old["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)
    torch.save(old, tmp_path / "w.pth")
    theirs.load_state_dict(sys.modules[type(theirs).__module__].checkpoint_filter_fn(dict(old), theirs))
    load_initial_(
        Normalized(ours, (0, 0, 0), (1, 1, 1)), "timm:swin_tiny_patch4_window7_224", tmp_path / "w.pth"
    )
    assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in ours.state_dict().items())


def test_files_of_other_networks_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"not in the network \(first: conv1.weight\)"):
        load_initial_(Normalized(swin(), (0, 0, 0), (1, 1, 1)), "timm:resnet18", tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ({"hf_hub_id": "timm/a.b", "hf_hub_filename": None}, ("timm/a.b", "model.safetensors", None)),
        ({"hf_hub_id": "org/a@v2", "hf_hub_filename": "x.bin"}, ("org/a", "x.bin", "v2")),
    ],
)
def test_files_come_from_the_hub(config, asked, monkeypatch, tmp_path):
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda _: SimpleNamespace(url="https://x/y", **config))
    calls = []

    def download(repository, file, *, revision):
        calls.append((repository, file, revision))
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert source().pretrained("a") == tmp_path / asked[1]
    assert calls == [asked]


def test_networks_without_weights_say_so():
    with pytest.raises(UsageError, match="weights of its own, got none"):
        source().pretrained("botnet50ts_256")
