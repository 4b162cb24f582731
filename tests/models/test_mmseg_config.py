"""MMSegmentation's configs: their names, which are refused and why, and that none downloads anything."""

import sys
from urllib.error import URLError

import pytest

from flatqat.errors import UsageError
from flatqat.models.base import build
from flatqat.models.mmseg_config import _read, read_config
from tests.helpers.mmseg_configs import DEEPLAB, MARKS, PIDNET, SEGFORMER, path_of, source

pytestmark = MARKS


def test_names_are_listed_without_importing_the_package():
    names = source().names()
    assert {SEGFORMER, PIDNET, "ccnet_r50-d8_4xb2-40k_cityscapes-512x1024"} <= set(names)
    assert not [name for name in names if name.startswith("_") or "schedule" in name]


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("ccnet_r50-d8_4xb2-40k_cityscapes-512x1024", "CrissCrossAttention of mmcv.ops"),
        ("psanet_r50-d8_4xb2-40k_cityscapes-512x1024", "PSAMask of mmcv.ops"),
        ("pointrend_r50_4xb2-80k_cityscapes-512x1024", "point_sample of mmcv.ops"),
        ("mask2former_r50_8xb2-90k_cityscapes-512x1024", "the package mmdet"),
        ("convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512", "the package mmpretrain"),
        ("beit-base_upernet_8xb2-160k_ade20k-640x640", "crops of one size"),
        ("vpd_sd_4xb8-25k_nyu-512x512", "classifies no pixels"),
    ],
)
def test_what_it_cannot_build_is_refused_before_anything_else(name, needed, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmseg.models", None)  # importing it would fail
    with pytest.raises(UsageError, match=needed):
        build(f"mmseg:{name}", classes=4, seed=0)


def test_images_that_are_not_rgb_are_refused():
    with pytest.raises(UsageError, match="expected one of RGB images, got one whose mean has 0"):
        build("mmseg:unet-s5-d16_fcn_4xb4-160k_hsidrive-192x384", classes=4, seed=0)


@pytest.mark.parametrize(
    "name",
    [
        SEGFORMER,
        DEEPLAB,
        PIDNET,
        "icnet_r18-d8-in1k-pre_4xb2-80k_cityscapes-832x832",
        "setr_vit-l_pup_8xb1-80k_cityscapes-768x768",
    ],
)
def test_nothing_names_a_file_that_could_be_fetched(name):
    words = ("://", ".pth", "Pretrained", "SyncBN")
    before, after = str(_read(path_of(name))), str(read_config(path_of(name), 4).model)
    assert [word for word in words if word in before]
    assert not [word for word in words if word in after]


def test_building_prints_nothing_and_asks_for_nothing(monkeypatch, capfd):
    def fail(*args, **_):
        raise URLError("no network")

    for place in ("torch.hub.load_state_dict_from_url", "torch.hub.download_url_to_file"):
        monkeypatch.setattr(place, fail)
    source().build(DEEPLAB, 3)
    from mmengine.runner import checkpoint as loader

    monkeypatch.setattr(loader, "_load_checkpoint", fail)
    monkeypatch.setattr(loader.CheckpointLoader, "load_checkpoint", fail)
    capfd.readouterr()
    source().build("icnet_r18-d8-in1k-pre_4xb2-80k_cityscapes-832x832", 3)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_weights_come_from_the_metafile(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = (
        tmp_path
        / "hub"
        / "checkpoints"
        / "segformer_mit-b0_8x1_1024x1024_160k_cityscapes_20211208_101857-e7f88502.pth"
    )
    file.parent.mkdir(parents=True)
    file.touch()
    assert source().pretrained(SEGFORMER) == file
    for name, got in (
        ("pspnet_r50-d32_4xb2-80k_cityscapes-512x1024", "got none"),
        ("pspnet_r50b-d32_4xb2-80k_cityscapes-512x1024", "pspnet_r50-d32_.* and .*pspnet_r50b-d32"),
    ):
        with pytest.raises(UsageError, match=f"expected one file of weights of its own, .*{got}"):
            source().pretrained(name)
