"""What all suites of ImageNet's classes share: clean images, recipes and training."""

from functools import partial
from typing import Any

from flatqat.data.imagenet import clean
from flatqat.data.imagenet.classes import COUNT
from flatqat.data.images.views import random_resized_crop
from flatqat.spec import Recipe
from flatqat.suite import Suite

LAYOUT = """the clean images in the data root, in its folder imagenet, or as Kaggle packs them:
  imagenet/val/<wnid>/*.JPEG      or imagenet/val/*.JPEG and one of LOC_val_solution.csv, val.txt of
                                  caffe_ilsvrc12, imagenet_2012_validation_synset_labels.txt, or the devkit
  imagenet/train/<wnid>/*.JPEG    where there are none, nothing is trained: fp and ptq are evaluated"""

TRAINED = (
    "normalised by the model; trained on 1,271,167 training images, random windows of 8% to 100% of the area "
    "and flips; without training images nothing is trained, and grids are calibrated and flatness is "
    "measured on validation images"
)
AS_ASKED = "images decoded by Pillow and cut as the model's source asks (see preprocessing)"
AS_CORRUPTED = "short side resized to 256 (bilinear, antialiased, Pillow), centre crop 224, for every model"

# `steps` are 10 epochs from --pretrained or --weights, at the learning rate and decay of LSQ's fine-tuning
# (Esser et al. 2020, arXiv 1902.08153). Without initial weights, `pretrain_steps` are the usual 90 epochs.
RECIPES = {
    "default": Recipe(pretrain_steps=450_000, steps=50_000, batch_size=256, pretrain_lr=0.1, lr=0.01),
    "smoke": Recipe(
        pretrain_steps=200, steps=100, batch_size=64, pretrain_lr=0.05, lr=0.005,
        flatness_images=64, flatness_draws=5,
    ),
    "eval": Recipe(
        pretrain_steps=0, steps=0, batch_size=64, calibration_batches=8, flatness_images=128, flatness_draws=5
    ),
}  # fmt: skip


def suite(**fields: Any) -> Suite:
    """Return a suite of the 1,000 classes; `fields` are the other fields of `Suite`."""
    return Suite(
        version=1,
        task="classification",
        classes=COUNT,
        metric="top1",
        default_model="torchvision:resnet50",
        train=clean.train,
        val=clean.val,
        recipes=RECIPES,
        sizes_vary=True,
        train_transform=partial(random_resized_crop, area=(0.08, 1.0)),
        untrainable_reason=clean.untrainable_reason,
        **fields,
    )
