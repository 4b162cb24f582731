"""Suites of other images of ImageNet's classes: ImageNet-A, -R, -Sketch and ImageNetV2."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flatqat.data.imagenet import clean, natural
from flatqat.data.imagenet.names import NaturalSet
from flatqat.data.imagenet.verify_sets import verify_natural
from flatqat.finding import Finding
from flatqat.suite import Shift, Suite
from flatqat.suites import _imagenet
from flatqat.suites._shifts import own_images


def of_all_classes(*sets: tuple[str, NaturalSet], name: str, title: str, about: str, baseline: str) -> Suite:
    """Return a suite of all validation images (`id`) and some sets, the first of which is in the mean."""
    shifts = tuple(
        own_images(shift, partial(natural.shifted, dataset=dataset), in_mean=dataset is sets[0][1])
        for shift, dataset in sets
    )
    return _natural(
        *sets,
        name=name,
        title=title,
        about=f"50,000 validation images and {about}; 1,000 classes, no mask",
        shifts=(Shift(name="id", family="id", build=clean.scored), *shifts),
        baseline=baseline,
    )


def of_200_classes(name: str, dataset: NaturalSet, *, about: str, baseline: str | None = None) -> Suite:
    """Return a suite of `id` and the set, scored among its classes alone, and `id_1000` without a mask.

    Both the suite and the shift of the set are named `name`.
    """
    classes = dataset.class_subset
    assert classes is not None
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
    return _imagenet.suite(
        protocol=f"{_imagenet.AS_ASKED}; {about}; {_imagenet.TRAINED}",
        layout=f"the set in the data root, or the data root itself:\n{folders}\nand {_imagenet.LAYOUT}",
        verify=partial(_verify, sets=sets),
        missing_shifts=partial(_missing_shifts, sets=sets),
        **fields,
    )


def _missing_shifts(root: Path | None, *, sets: tuple[tuple[str, NaturalSet], ...]) -> frozenset[str]:
    return frozenset(shift for shift, dataset in sets if natural.is_missing(root, dataset))


def _verify(root: Path | None, *, sets: tuple[tuple[str, NaturalSet], ...]) -> list[Finding]:
    return verify_natural(root, *(dataset for _, dataset in sets))
