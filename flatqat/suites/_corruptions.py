"""Shifts that are corruptions of one set of images at five severities."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.corruptions.names import NAMES, SEVERITIES, Table
from flatqat.suite import Shift

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData

EXTRA = "extra"


def shifts(
    clean: "Callable[[Path | None], ImageData]",
    corrupted: "Callable[..., ImageData]",
    *,
    extra: bool,
    families: Mapping[str, str] = NAMES,
) -> tuple[Shift, ...]:
    """`id`, then `<corruption>/<severity>` in the order of `families`, extra ones out of the headline.

    `corrupted(root, corruption=..., severity=...)` shows the images of `clean(root)` in the same order.
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
    """Which pictures of ice live corruptions use, for a suite's `made_with`."""
    from flatqat.data.corruptions.photographs import in_use

    return f"frost from {in_use()}"


def live(data: "ImageData", *, corruption: str, severity: int, table: Table = "cifar") -> "ImageData":
    """`data` with a table's constants of a corruption applied batch by batch, seeded by image id."""
    from flatqat.data.corruptions.apply import corrupt

    return data.map(partial(corrupt, name=corruption, severity=severity, table=table))
