"""ImageNet through other decoders, resizes, color conversions and crops; needs only the clean images."""

from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.imagenet import clean
from flatqat.data.imagenet.verify import verify
from flatqat.data.images.encoded import Decode
from flatqat.data.sysnoise import decoders
from flatqat.data.sysnoise.resized import check_resized
from flatqat.finding import Finding
from flatqat.suites import _imagenet, _sysnoise

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData


def _scored(root: Path | None, decode: Decode) -> "ImageData":
    return clean.scored_images(root).load(decode=decode)


def _verify(root: Path | None) -> list[Finding]:
    findings = verify(root)
    if any(finding.is_fatal for finding in findings):
        return findings
    return [*findings, check_resized(clean.scored_images(root).paths)]


SUITE = _imagenet.suite(
    name="sysnoise",
    title="ImageNet under system noise",
    protocol=(
        f"{_imagenet.AS_ASKED}; 50,000 validation images, 1,000 classes, no mask; the same images with one "
        f"step made otherwise: {_sysnoise.DECODER}; {_sysnoise.RESIZE}; {_sysnoise.COLOR}; {_sysnoise.CROP}; "
        f"{_sysnoise.MEAN}; {_imagenet.TRAINED}"
    ),
    layout=_imagenet.LAYOUT,
    shifts=_sysnoise.on_disk(_scored, _sysnoise.all_names()),
    verify=_verify,
    made_with=decoders.found,
)
