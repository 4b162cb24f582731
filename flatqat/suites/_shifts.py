"""Shifts: images of their own, or corruptions of one set of images at five severities."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.corruptions import photographs
from flatqat.data.corruptions.names import NAMES, ON_CPU, SEVERITIES, Table
from flatqat.suite import Shift

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

Build = Callable[[Path | None], "ImageData"]  # loads images from the data root
EXTRA = "extra"


def own_images(name: str, build: Build, *, in_mean: bool = True) -> Shift:
    """Return the shift `name`, whose images no other has: family and image set have the same name."""
    return Shift(name=name, family=name, build=build, image_set=name, in_mean=in_mean)


def shifts(
    clean: Build, corrupted: Callable[..., "ImageData"], *, extra: bool, families: Mapping[str, str] = NAMES
) -> tuple[Shift, ...]:
    """Return the shift `id`, then `<corruption>/<severity>` in the order of `families`.

    `corrupted(root, corruption=..., severity=...)` loads the images of `clean(root)`, corrupted, in the same
    order. Corruptions of the family `extra` are only included with `extra`, and never count in the mean.
    """
    return (
        Shift(name="id", family="id", build=clean),
        *(
            Shift(
                name=f"{name}/{severity}",
                family=family,
                severity=severity,
                build=partial(corrupted, corruption=name, severity=severity),
                in_mean=family != EXTRA,
            )
            for name, family in families.items()
            if extra or family != EXTRA
            for severity in SEVERITIES
        ),
    )


def frost() -> str:
    """Return which pictures of ice the corruption `frost` uses, for a suite's `made_with`."""
    return f"frost from {photographs.in_use()}"


def on_the_fly(
    clean: Build, root: Path | None, *, corruption: str, severity: int, table: Table = "cifar"
) -> "ImageData":
    """Load the images of `clean` with a corruption applied batch by batch, seeded by image id."""
    from flatqat.data.corruptions.apply import corrupt  # imports torch, which listings must not

    change = partial(corrupt, name=corruption, severity=severity, table=table)
    return clean(root).map(change, on_cpu=corruption in ON_CPU)
