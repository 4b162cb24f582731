"""What suites of street scenes share: training transforms, recipes, and Cityscapes as the ID set."""

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.data.images.checks import Verify, untrainable, with_data_root
from flatqat.data.images.segmentation_views import center_crop, jitter_crop
from flatqat.data.streets import cityscapes
from flatqat.data.streets.listing import list_part, load
from flatqat.data.streets.names import CITYSCAPES, CLASSES, StreetSet
from flatqat.data.streets.verify import verify_part
from flatqat.finding import Finding
from flatqat.spec import EvalTransform, Recipe
from flatqat.suite import Shift, Suite
from flatqat.suites._shifts import own_images

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import Transform

CROP = (512, 1024)

ID = (
    "ID: the 500 validation images of Cityscapes; val, which selects: training images of krefeld, "
    "monchengladbach and ulm, 288, left out of training (public weights have seen them)"
)
SCORED = (
    "scored at native resolution, no resize, no flip, whole unless a window is named; 19 classes, pixels "
    "labelled 255 left out; mIoU from the confusion matrix pooled over a shift, classes without a pixel in "
    "truth and prediction left out"
)
TRAINED = (
    "trained on 2,687 training images: scale 0.5 to 2, windows of 512x1024 drawn again, up to ten times, "
    "while one class fills more than 75%, flips, no change of colours; calibration and flatness on middle "
    "crops of that size; without training images nothing is trained, and grids are calibrated on validation "
    "images"
)
LAYOUT = f"""in the data root, or the data root itself:
  {CITYSCAPES.layout}
  (without train, methods that do not train are evaluated)"""

# Training from the source's weights is the usual schedule on Cityscapes: 40,000 steps of 8 windows, SGD at
# 0.01 with momentum 0.9, decay 5e-4, polynomial of 0.9 (Chen et al. 2018, arXiv 1802.02611). Fine-tuning is a
# quarter of it at a tenth of its learning rate.
DEFAULT = Recipe(
    pretrain_steps=40_000, steps=10_000, batch_size=8, pretrain_lr=0.01, lr=0.001,
    weight_decay=5e-4, schedule="poly", flatness_images=32,
)  # fmt: skip
RECIPES = {
    "default": DEFAULT,
    "smoke": replace(
        DEFAULT, pretrain_steps=4, steps=4, batch_size=2,
        bn_batches=2, calibration_batches=1, flatness_images=2, flatness_draws=2,
    ),
    "eval": Recipe(
        pretrain_steps=0, steps=0, batch_size=4, calibration_batches=8, flatness_images=4, flatness_draws=5
    ),
}  # fmt: skip


def suite(*shifts: Shift, verify: Verify | None = None, **fields: Any) -> Suite:
    """Return a suite of the 19 classes with Cityscapes as its ID set, followed by `shifts`.

    `verify` checks other datasets, and is only called with a data root; `fields` are further ones of `Suite`.
    """
    return Suite(
        version=1,
        task="segmentation",
        classes=len(CLASSES),
        class_names=CLASSES,
        metric="miou",
        default_model="mmseg:deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024",
        train=cityscapes.train,
        val=cityscapes.val,
        shifts=(Shift(name="id", family="id", build=cityscapes.scored), *shifts),
        recipes=RECIPES,
        verify=partial(with_data_root, "Cityscapes", partial(_verify, verify)),
        train_transform=partial(train_transform, CROP),
        fixed_transform=center_crop(CROP),
        untrainable_reason=cityscapes.untrainable_reason,
        **fields,
    )


def of_one_set(dataset: StreetSet, part: str, *, name: str, shift: str, about: str) -> Suite:
    """Return a suite of Cityscapes and one part of another dataset, as the shift named `shift`."""
    return suite(
        own_images(shift, partial(load, dataset=dataset, part=part)),
        name=name,
        title=f"Cityscapes and {dataset.title}",
        protocol=f"{ID}; {about}; {SCORED}; {TRAINED}",
        layout=f"{LAYOUT}\n  {dataset.layout}",
        verify=partial(_verify_set, dataset=dataset, part=part),
    )


def train_transform(
    size: tuple[int, int], _: EvalTransform, seed: int, scale: tuple[float, float] = (0.5, 2.0)
) -> "Transform":
    """Return the random crop of training, `size` pixels high and wide, whatever the evaluation transform."""
    return jitter_crop(size, seed, scale=scale)


def _verify(others: Verify | None, root: Path | None) -> list[Finding]:
    return [*_verify_id(root), *(others(root) if others else [])]


@lru_cache(maxsize=4)  # many suites share these images
def _verify_id(root: Path | None) -> tuple[Finding, ...]:
    """Check Cityscapes: its validation images are required, its training images optional."""
    train = _verify_set(root, CITYSCAPES, "train")
    if reason := cityscapes.untrainable_reason(root):
        train = [untrainable(f"Cityscapes train: no images with label maps ({reason})")]
    return (*_verify_set(root, CITYSCAPES, "val"), *train)


def _verify_set(root: Path | None, dataset: StreetSet, part: str) -> list[Finding]:
    listing = partial(list_part, root, dataset, part)
    return verify_part(listing, count=dataset.counts[part], classes=len(CLASSES))
