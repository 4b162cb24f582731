"""The sets of ImageNet's classes: what each holds, and how its folders are spelled. Standard library only."""

import re
from dataclasses import dataclass, field

from flatqat.data.corruptions.names import NAMES
from flatqat.data.imagenet import classes

VAL, EACH = 50_000, 50  # validation images, and those of each class
TRAIN = 1_281_167
SIDE = 224  # pixels of every corrupted image on disk


def normal(name: str) -> str:
    """A folder's name without case, hyphens, underscores and dots: `ImageNet-C` is `imagenetc`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """A set beside ImageNet's own images; its folder is called one of `folders`, as `normal` gives them.

    It may lie in a folder that is called one of `within`. `layout` is for people.
    """

    title: str
    folders: tuple[str, ...]
    layout: str
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptedSet(ImageSet):
    """Validation images, corrupted and stored at five severities.

    `families` gives each corruption its family; the corruptions may lie a level deeper, in `groups`.
    """

    families: dict[str, str] = field(hash=False)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalSet(ImageSet):
    """Images of their own, `count` of them. `only` are the labels that the set has (None: all of them).

    Its class folders are WordNet ids or, with `integers`, labels.
    """

    count: int
    class_subset: tuple[int, ...] | None = None
    integers: bool = False


IMAGENET = ("imagenet", "imagenet1k", "imagenet2012", "ilsvrc2012", "ilsvrc")

IMAGENET_C = CorruptedSet(
    title="ImageNet-C",
    folders=("imagenetc",),
    layout="imagenet-c/<corruption>/<severity>/<wnid>/*.JPEG",
    families=NAMES,
    groups=("noise", "blur", "weather", "digital", "extra"),
)

_BAR = (
    "blue_noise_sample",
    "brownish_noise",
    "caustic_refraction",
    "checkerboard_cutout",
    "cocentric_sine_waves",
    "inverse_sparkles",
    "perlin_noise",
    "plasma_noise",
    "single_frequency_greyscale",
    "sparkles",
)
IMAGENET_C_BAR = CorruptedSet(
    title="ImageNet-C-bar",
    folders=("imagenetcbar",),
    layout="imagenet-c-bar/<corruption>/<severity>/<wnid>/*.JPEG",
    families={name: name for name in _BAR},
)

_3D = (
    "near_focus",
    "far_focus",
    "fog_3d",
    "flash",
    "color_quant",
    "low_light",
    "xy_motion_blur",
    "z_motion_blur",
    "iso_noise",
    "bit_error",
    "h265_abr",
    "h265_crf",
)
IMAGENET_3DCC = CorruptedSet(
    title="ImageNet-3DCC",
    folders=("imagenet3dcc", "3dcc"),
    layout="ImageNet-3DCC/<corruption>/<severity>/<wnid>/*.JPEG",
    families={name: name for name in _3D},
)

IMAGENET_R = NaturalSet(
    title="ImageNet-R",
    folders=("imagenetr",),
    layout="imagenet-r/<wnid>/*.jpg",
    count=30_000,
    class_subset=classes.subset("r"),
)
IMAGENET_A = NaturalSet(
    title="ImageNet-A",
    folders=("imageneta",),
    layout="imagenet-a/<wnid>/*.jpg",
    count=7_500,
    class_subset=classes.subset("a"),
)
IMAGENET_SKETCH = NaturalSet(
    title="ImageNet-Sketch",
    folders=("imagenetsketch", "sketch"),
    layout="sketch/<wnid>/*.JPEG",
    within=("imagenetsketch",),
    count=50_889,
)


def _v2(variant: str) -> NaturalSet:
    plain = normal(variant)
    spellings = (f"imagenetv2{plain}formatval", f"imagenetv2{plain}", f"{plain}formatval", plain)
    return NaturalSet(
        title=f"ImageNetV2 {variant}",
        folders=spellings,
        layout=f"imagenetv2-{variant}-format-val/<0 to 999>/*.jpeg",
        within=("imagenetv2",),
        count=10_000,
        integers=True,
    )


IMAGENET_V2 = {variant: _v2(variant) for variant in ("matched-frequency", "threshold0.7", "top-images")}

SETS: tuple[ImageSet, ...] = (
    IMAGENET_C, IMAGENET_C_BAR, IMAGENET_3DCC, IMAGENET_R, IMAGENET_A, IMAGENET_SKETCH, *IMAGENET_V2.values()
)  # fmt: skip
