"""Suites of corrupted ImageNet validation images that others have published, read from disk."""

from functools import partial
from pathlib import Path
from typing import Any

from flatqat.data.corruptions.names import SEVERITIES
from flatqat.data.imagenet import corrupted
from flatqat.data.imagenet.names import CorruptedSet
from flatqat.data.imagenet.verify_sets import verify_corrupted
from flatqat.spec import EvalTransform
from flatqat.suite import Suite
from flatqat.suites import _imagenet
from flatqat.suites._shifts import EXTRA, shifts


def stored(dataset: CorruptedSet, *, name: str, about: str, **fields: Any) -> Suite:
    """Return a suite of `id` and every corruption at five severities, all of the same images.

    The protocol describes the corruptions as `about`; `fields` are further fields of `Suite`.
    """
    return _imagenet.suite(
        name=name,
        title=f"ImageNet and {dataset.title}",
        protocol=(
            f"50,000 validation images, or as many of them as the copy of {dataset.title} has: clean ones "
            f"{_imagenet.AS_CORRUPTED}; corrupted ones as stored, 224x224, no resize, no crop; {about}; "
            f"1,000 classes, no mask; {_imagenet.TRAINED}"
        ),
        layout=(
            f"the corrupted images in the data root, or the data root itself:\n  {dataset.layout}\n"
            f"and {_imagenet.LAYOUT}"
        ),
        shifts=shifts(
            partial(corrupted.uncorrupted, dataset=dataset),
            partial(corrupted.corrupted, dataset=dataset),
            extra=True,
            families=dataset.families,
        ),
        verify=partial(verify_corrupted, dataset=dataset, optional=EXTRA),
        missing_shifts=partial(_missing_shifts, dataset=dataset),
        eval_transform=EvalTransform(),
        **fields,
    )


def _missing_shifts(root: Path | None, *, dataset: CorruptedSet) -> frozenset[str]:
    missing = corrupted.missing_corruptions(root, dataset, EXTRA)
    return frozenset(f"{name}/{severity}" for name in missing for severity in SEVERITIES)
