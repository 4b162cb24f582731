"""Suites of ImageNet's classes: what they share, corrupted copies read from disk, and other images."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flatqat.data.corruptions.names import SEVERITIES
from flatqat.data.imagenet import clean, corrupted, natural
from flatqat.data.imagenet.classes import COUNT
from flatqat.data.imagenet.names import CorruptedSet, NaturalSet
from flatqat.data.imagenet.verify_sets import verify_corrupted, verify_natural
from flatqat.data.images.views import random_resized_crop
from flatqat.finding import Finding
from flatqat.spec import EvalTransform, Recipe
from flatqat.suite import Shift, Suite
from flatqat.suites._shifts import EXTRA, own_images, shifts

LAYOUT = """the clean images in the data root, in its folder imagenet, or as Kaggle packs them:
  imagenet/val/<wnid>/*.JPEG      or imagenet/val/*.JPEG and one of LOC_val_solution.csv, val.txt of
                                  caffe_ilsvrc12, imagenet_2012_validation_synset_labels.txt, or the devkit
  imagenet/train/<wnid>/*.JPEG    where there are none, methods that do not train are evaluated"""

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


def stored(dataset: CorruptedSet, *, name: str, about: str, **fields: Any) -> Suite:
    """Return a suite of `id` and every corruption at five severities, all of the same images.

    The protocol describes the corruptions as `about`; `fields` are further fields of `Suite`.
    """
    return suite(
        name=name,
        title=f"ImageNet and {dataset.title}",
        protocol=(
            f"50,000 validation images, or as many of them as the copy of {dataset.title} has: clean ones "
            f"{AS_CORRUPTED}; corrupted ones as stored, 224x224, no resize, no crop; {about}; "
            f"1,000 classes, no mask; {TRAINED}"
        ),
        layout=f"""the corrupted images in the data root, or the data root itself:
  {dataset.layout}
and {LAYOUT}""",
        shifts=shifts(
            partial(corrupted.uncorrupted, dataset=dataset),
            partial(corrupted.corrupted, dataset=dataset),
            extra=True,
            families=dataset.families,
        ),
        verify=partial(verify_corrupted, dataset=dataset, optional=EXTRA),
        missing_shifts=partial(_missing_corruptions, dataset=dataset),
        eval_transform=EvalTransform(),
        **fields,
    )


def _missing_corruptions(root: Path | None, *, dataset: CorruptedSet) -> frozenset[str]:
    missing = corrupted.missing_corruptions(root, dataset, EXTRA)
    return frozenset(f"{name}/{severity}" for name in missing for severity in SEVERITIES)


def of_all_classes(*sets: tuple[str, NaturalSet], about: str, **fields: Any) -> Suite:
    """Return a suite of all validation images (`id`) and some sets, the first of which is in the mean."""
    others = tuple(
        own_images(shift, partial(natural.shifted, dataset=dataset), in_mean=dataset is sets[0][1])
        for shift, dataset in sets
    )
    return _natural(
        *sets,
        about=f"50,000 validation images and {about}; 1,000 classes, no mask",
        shifts=(Shift(name="id", family="id", build=clean.scored), *others),
        **fields,
    )


def of_200_classes(name: str, dataset: NaturalSet, *, about: str, baseline: str | None = None) -> Suite:
    """Return a suite of `id` and the shift `name`, scored among its 200 classes, and `id_1000`, unmasked."""
    classes = dataset.class_subset
    id_ = Shift(name="id", family="id", build=partial(clean.scored, class_subset=classes))
    shift = own_images(name, partial(natural.shifted, dataset=dataset))
    return _natural(
        (name, dataset),
        name=name,
        title=f"ImageNet and {dataset.title}",
        about=(
            f"{about}; top-1 among the 200 classes, logits of the other 800 masked, on the set and on the "
            "10,000 validation images of its classes (id); top1_unmasked among all 1,000; id_1000 aside: "
            "50,000 validation images, 1,000 classes, no mask"
        ),
        shifts=(
            *(replace(masked, class_subset=classes) for masked in (id_, shift)),
            own_images("id_1000", clean.scored, in_mean=False),
        ),
        baseline=baseline,
    )


def _natural(*sets: tuple[str, NaturalSet], about: str, **fields: Any) -> Suite:
    folders = "\n".join(f"  {dataset.layout}" for _, dataset in sets)
    return suite(
        protocol=f"{AS_ASKED}; {about}; {TRAINED}",
        layout=f"the set in the data root, or the data root itself:\n{folders}\nand {LAYOUT}",
        verify=partial(_verify_sets, sets=sets),
        missing_shifts=partial(_missing_sets, sets=sets),
        **fields,
    )


def _missing_sets(root: Path | None, *, sets: tuple[tuple[str, NaturalSet], ...]) -> frozenset[str]:
    return frozenset(shift for shift, dataset in sets if natural.is_missing(root, dataset))


def _verify_sets(root: Path | None, *, sets: tuple[tuple[str, NaturalSet], ...]) -> list[Finding]:
    datasets = [dataset for _, dataset in sets]
    return verify_natural(root, *datasets, optional=datasets[1:])
