"""CamVid: three drives by day and one at dusk."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from flatqat.data.images.checks import with_data_root
from flatqat.data.images.segmentation_views import center_crop
from flatqat.data.streets import camvid
from flatqat.data.streets.names import CAMVID_CLASSES, CAMVID_LAYOUT
from flatqat.data.streets.verify import verify_part
from flatqat.finding import Finding
from flatqat.spec import Recipe
from flatqat.suite import Shift, Suite
from flatqat.suites._shifts import own_images
from flatqat.suites._streets import train_transform

CROP = (240, 320)
# Batch sizes and learning rates are for small networks from scratch; smoke takes minutes on two CPU cores.
DEFAULT = Recipe(
    pretrain_steps=6000, steps=2000, batch_size=8, pretrain_lr=0.05, lr=0.005,
    weight_decay=5e-4, schedule="poly", flatness_images=32,
)  # fmt: skip
SMOKE = replace(
    DEFAULT, pretrain_steps=400, steps=100, batch_size=4, lr=0.01,
    bn_batches=4, calibration_batches=2, flatness_images=8, flatness_draws=2,
)  # fmt: skip


def _verify(root: Path | None) -> list[Finding]:
    return [
        finding
        for part, count in camvid.COUNTS.items()
        for finding in verify_part(
            partial(camvid.list_part, root, part), count=count, classes=len(CAMVID_CLASSES), lut=camvid.lut()
        )
    ]


SUITE = Suite(
    name="camvid-dusk",
    version=1,
    title="CamVid by day and at dusk",
    task="segmentation",
    classes=len(CAMVID_CLASSES),
    class_names=CAMVID_CLASSES,
    metric="miou",
    default_model="tiny-seg",
    protocol=(
        "SegNet's copy of CamVid, 480x360, images a second apart, whole drives: trained on 0016E5 (204), "
        "val 0006R0 (101), ID Seq05VD (171), all by day, dusk 0001TP (124, or the 62 that are there); scored "
        "at native resolution, whole unless a window is named; 11 classes, void left out; mIoU from the "
        "confusion matrix pooled over a shift, classes without a pixel in truth and prediction left out; "
        "trained with scale 0.5 to 2, windows of 240x320 drawn again, up to ten times, while one class fills "
        "more than 75%, flips, no change of colours"
    ),
    layout=CAMVID_LAYOUT,
    train=partial(camvid.load, part="train"),
    val=partial(camvid.load, part="val"),
    shifts=(
        Shift(name="id", family="id", build=partial(camvid.load, part="id")),
        own_images("dusk", partial(camvid.load, part="dusk")),
    ),
    recipes={"default": DEFAULT, "smoke": SMOKE},
    verify=partial(with_data_root, "CamVid", _verify),
    train_transform=partial(train_transform, CROP),
    fixed_transform=center_crop(CROP),
)
