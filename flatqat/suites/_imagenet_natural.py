"""Suites of other images of ImageNet's classes."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.imagenet.names import NaturalSet
from flatqat.finding import Finding
from flatqat.suite import Shift, Suite
from flatqat.suites import _imagenet

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData


def of_all_classes(*sets: tuple[str, NaturalSet], name: str, title: str, about: str, baseline: str) -> Suite:
    """`id`, all validation images, then the sets under their names, the first alone in the headline."""
    shifts = tuple(
        Shift(
            name=shift,
            family=shift,
            build=partial(_shifted, wanted=wanted),
            image_set=shift,
            in_mean=wanted is sets[0][1],
        )
        for shift, wanted in sets
    )
    return _natural(
        tuple(wanted for _, wanted in sets),
        name=name,
        title=title,
        about=f"50,000 validation images and {about}; 1,000 classes, no mask",
        shifts=(Shift(name="id", family="id", build=_imagenet.clean), *shifts),
        baseline=baseline,
    )


def of_200_classes(
    shift: str, wanted: NaturalSet, *, name: str, about: str, baseline: str | None = None
) -> Suite:
    """`id` and the set, both with the logits of all but its classes masked; `id_1000` aside, unmasked."""
    only = wanted.class_subset
    assert only is not None
    return _natural(
        (wanted,),
        name=name,
        title=f"ImageNet and {wanted.title}",
        about=(
            f"{about}; top-1 among the 200 classes, logits of the other 800 masked, on the set and on the "
            "10,000 validation images of its classes (id); top1_unmasked among all 1,000; id_1000 aside: "
            "50,000 validation images, 1,000 classes, no mask"
        ),
        shifts=(
            Shift(name="id", family="id", build=partial(_imagenet.clean, only=only), class_subset=only),
            Shift(
                name=shift,
                family=shift,
                build=partial(_shifted, wanted=wanted),
                image_set=shift,
                class_subset=only,
            ),
            Shift(
                name="id_1000", family="id_1000", build=_imagenet.clean, image_set="id_1000", in_mean=False
            ),
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
    folders = "\n".join(f"  {wanted.layout}" for wanted in sets)
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


def _shifted(root: Path | None, *, wanted: NaturalSet) -> "ImageData":
    from flatqat.data.imagenet import natural

    return natural.shifted(root, wanted)


def _missing_shifts(root: Path | None, *, sets: dict[str, NaturalSet]) -> frozenset[str]:
    from flatqat.data.imagenet import natural

    return frozenset(shift for shift, wanted in sets.items() if natural.missing_shifts(root, wanted))


def _verify(root: Path | None, *, sets: tuple[NaturalSet, ...]) -> list[Finding]:
    from flatqat.data.imagenet import verify_sets

    return verify_sets.verify_natural(root, *sets)
