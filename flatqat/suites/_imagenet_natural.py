"""Suites of other images of ImageNet's classes: ImageNet-A, -R, -Sketch and ImageNetV2."""

from functools import partial
from pathlib import Path

from flatqat.data.imagenet import clean, natural
from flatqat.data.imagenet.names import NaturalSet
from flatqat.data.imagenet.verify_sets import verify_natural
from flatqat.finding import Finding
from flatqat.suite import Shift, Suite
from flatqat.suites import _imagenet


def of_all_classes(*sets: tuple[str, NaturalSet], name: str, title: str, about: str, baseline: str) -> Suite:
    """Return a suite of all validation images (`id`) and some sets, the first of which is in the mean."""
    shifts = tuple(
        Shift(
            name=shift,
            family=shift,
            build=partial(natural.shifted, dataset=dataset),
            image_set=shift,
            in_mean=dataset is sets[0][1],
        )
        for shift, dataset in sets
    )
    return _natural(
        tuple(dataset for _, dataset in sets),
        name=name,
        title=title,
        about=f"50,000 validation images and {about}; 1,000 classes, no mask",
        shifts=(Shift(name="id", family="id", build=clean.scored), *shifts),
        baseline=baseline,
    )


def of_200_classes(
    shift: str, dataset: NaturalSet, *, name: str, about: str, baseline: str | None = None
) -> Suite:
    """Return a suite of `id` and the set, scored among its classes alone, and `id_1000` without a mask."""
    class_subset = dataset.class_subset
    assert class_subset is not None
    return _natural(
        (dataset,),
        name=name,
        title=f"ImageNet and {dataset.title}",
        about=(
            f"{about}; top-1 among the 200 classes, logits of the other 800 masked, on the set and on the "
            "10,000 validation images of its classes (id); top1_unmasked among all 1,000; id_1000 aside: "
            "50,000 validation images, 1,000 classes, no mask"
        ),
        shifts=(
            Shift(
                name="id",
                family="id",
                build=partial(clean.scored, class_subset=class_subset),
                class_subset=class_subset,
            ),
            Shift(
                name=shift,
                family=shift,
                build=partial(natural.shifted, dataset=dataset),
                image_set=shift,
                class_subset=class_subset,
            ),
            Shift(name="id_1000", family="id_1000", build=clean.scored, image_set="id_1000", in_mean=False),
        ),
        baseline=baseline,
    )


def _natural(
    sets: tuple[NaturalSet, ...],
    *,
    name: str,
    title: str,
    about: str,
    shifts: tuple[Shift, ...],
    baseline: str | None,
) -> Suite:
    folders = "\n".join(f"  {dataset.layout}" for dataset in sets)
    return _imagenet.suite(
        name=name,
        title=title,
        protocol=f"{_imagenet.AS_ASKED}; {about}; {_imagenet.TRAINED}",
        layout=f"the set in the data root, or the data root itself:\n{folders}\nand {_imagenet.LAYOUT}",
        shifts=shifts,
        verify=partial(_verify, sets=sets),
        missing_shifts=partial(
            _missing_shifts, sets=dict(zip((s.name for s in shifts[1:]), sets, strict=False))
        ),
        baseline=baseline,
    )


def _missing_shifts(root: Path | None, *, sets: dict[str, NaturalSet]) -> frozenset[str]:
    return frozenset(shift for shift, dataset in sets.items() if natural.is_missing(root, dataset))


def _verify(root: Path | None, *, sets: tuple[NaturalSet, ...]) -> list[Finding]:
    return verify_natural(root, *sets)
