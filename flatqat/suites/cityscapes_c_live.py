"""Cityscapes under 15 corruptions generated on the fly; needs only the clean images."""

from dataclasses import replace
from functools import partial

from flatqat.data.streets import cityscapes
from flatqat.suites import _streets
from flatqat.suites._shifts import frost, on_the_fly, shifts

CORRUPTED = partial(on_the_fly, cityscapes.scored, table="imagenet")

SUITE = _streets.suite(
    *(
        replace(shift, in_mean=not shift.name.startswith("elastic_transform"))
        for shift in shifts(cityscapes.scored, CORRUPTED, extra=False)[1:]
    ),
    name="cityscapes-c-live",
    title="Cityscapes, corrupted on the fly",
    protocol=(
        f"{_streets.ID}; 15 corruptions at 5 severities made live on them at 2048x1024 with the constants of "
        "ImageNet-C, which were made for 224x224: most are milder here; label maps stay as they are, so that "
        f"elastic_transform, which moves what they label, stays out of the headline; {_streets.SCORED}; "
        f"{_streets.TRAINED}"
    ),
    layout=_streets.LAYOUT,
    made_with=frost,
)
