"""What suites of street scenes share: views in training, recipes, and Cityscapes as the ID set."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.data.streets.names import CITYSCAPES, CLASSES, StreetSet
from flatqat.finding import Finding
from flatqat.spec import EvalTransform, Recipe
from flatqat.suite import Shift, Suite

if TYPE_CHECKING:
    from PIL.Image import Image

    from flatqat.data.images.encoded import Pixels
    from flatqat.data.images.image_data import ImageData, Transform

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
LAYOUT = f"  {CITYSCAPES.layout}\n  (without train, fp and ptq are evaluated)"

# Training from the source's weights is the usual schedule on Cityscapes: 40,000 steps of 8 windows, SGD at
# 0.01 with momentum 0.9, decay 5e-4, polynomial of 0.9 (Chen et al. 2018, arXiv 1802.02611). Fine-tuning is a
# quarter of it at a tenth of its learning rate.
RECIPES = {
    "default": Recipe(
        pretrain_steps=40_000,
        steps=10_000,
        batch_size=8,
        pretrain_lr=0.01,
        lr=0.001,
        weight_decay=5e-4,
        schedule="poly",
        flatness_images=32,
    ),
    "smoke": Recipe(
        pretrain_steps=4,
        steps=4,
        batch_size=2,
        pretrain_lr=0.01,
        lr=0.001,
        weight_decay=5e-4,
        schedule="poly",
        bn_batches=2,
        calibration_batches=1,
        flatness_images=2,
        flatness_draws=2,
    ),
    "eval": Recipe(
        pretrain_steps=0, steps=0, batch_size=4, calibration_batches=8, flatness_images=4, flatness_draws=5
    ),
}


def suite(**parts: Any) -> Suite:
    """A suite of the 19 classes with Cityscapes as its ID set; `parts` are what is its own.

    Its `verify` is asked only where there is a data root.
    """
    shared: dict[str, Any] = {
        "version": 1,
        "task": "segmentation",
        "classes": len(CLASSES),
        "class_names": CLASSES,
        "metric": "miou",
        "default_model": "mmseg:deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024",
        "train": _train,
        "val": _val,
        "recipes": RECIPES,
        "train_transform": partial(train_transform, CROP),
        "fixed_transform": partial(fixed_transform, CROP),
        "untrainable_reason": _untrainable_reason,
    }
    return Suite(**(shared | parts | {"verify": partial(rooted, "Cityscapes", parts["verify"])}))


def of_one_set(known: StreetSet, part: str, *, name: str, shift: str, about: str) -> Suite:
    """Cityscapes and one part of another set, under the name `shift`."""
    return suite(
        name=name,
        title=f"Cityscapes and {known.title}",
        protocol=f"{ID}; {about}; {SCORED}; {TRAINED}",
        layout=f"in the data root, or the data root itself:\n{LAYOUT}\n  {known.layout}",
        shifts=(
            Shift(name="id", family="id", build=scored),
            Shift(name=shift, family=shift, build=partial(_load, known=known, part=part), image_set=shift),
        ),
        verify=partial(_verify, known=known, part=part),
    )


def train_transform(size: tuple[int, int], _: EvalTransform, seed: int) -> "Transform":
    """The random window of training, whatever frame a model asks for: height and width in pixels."""
    from flatqat.data.images.segmentation_views import jitter_crop

    return jitter_crop(size, seed)


def fixed_transform(size: tuple[int, int], pair: "Image", image_id: int) -> "Pixels":
    """The middle of a training image."""
    from flatqat.data.images.segmentation_views import centre_crop

    return centre_crop(size)(pair, image_id)


def rooted(needs: str, verify: Callable[[Path | None], list[Finding]], root: Path | None) -> list[Finding]:
    """What `verify` finds; without a data root that alone, once for all sets."""
    from flatqat.data.images.checks import look
    from flatqat.data.images.data_root import data_root

    place = look(lambda: f"data root {data_root(root, needs)}")
    return verify(root) if place.ok else [place]


def scored(root: Path | None) -> "ImageData":
    """Cityscapes' validation images, the ID set."""
    from flatqat.data.streets import cityscapes

    return cityscapes.scored(root)


def verify_id(root: Path | None) -> list[Finding]:
    """Cityscapes' validation images, which must be there, and its training images, which may."""
    return list(_verify_id(root))


@lru_cache(maxsize=4)  # many suites share these images
def _verify_id(root: Path | None) -> tuple[Finding, ...]:
    from flatqat.data.streets import listed, verify

    def part(split: str) -> list[Finding]:
        return verify.verify_part(
            partial(listed.listed, root, CITYSCAPES, split),
            count=CITYSCAPES.counts[split],
            classes=len(CLASSES),
        )

    train = part("train")
    if lacking := _untrainable_reason(root):
        what = f"Cityscapes train: no images with label maps ({lacking})"
        mend = "without them nothing is trained: methods that train are skipped"
        train = [Finding(ok=False, partial=True, what=what, fix=mend)]
    return (*part("val"), *train)


def _train(root: Path | None) -> "ImageData":
    from flatqat.data.streets import cityscapes

    return cityscapes.train(root)


def _val(root: Path | None) -> "ImageData":
    from flatqat.data.streets import cityscapes

    return cityscapes.val(root)


def _untrainable_reason(root: Path | None) -> str:
    from flatqat.data.streets import cityscapes

    return cityscapes.untrainable(root)


def _load(root: Path | None, *, known: StreetSet, part: str) -> "ImageData":
    from flatqat.data.streets import listed

    return listed.load(root, known, part)


def _verify(root: Path | None, *, known: StreetSet, part: str) -> list[Finding]:
    from flatqat.data.streets import listed, verify

    shifted = verify.verify_part(
        partial(listed.listed, root, known, part), count=known.counts[part], classes=len(CLASSES)
    )
    return [*verify_id(root), *shifted]
