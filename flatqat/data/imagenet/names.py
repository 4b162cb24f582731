"""The datasets of ImageNet's classes: what each holds, and how its folders are spelled.

Imports the standard library only.
"""

from dataclasses import dataclass, field

from flatqat.data.corruptions.names import NAMES
from flatqat.data.imagenet import classes
from flatqat.data.images.data_root import plain

VAL, EACH = 50_000, 50  # validation images, and those of each class
TRAIN = 1_281_167
SIDE = 224  # pixels of every corrupted image on disk


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """A dataset beside ImageNet's own images.

    Attributes:
        title: Its name.
        folders: Names of its folder, as `plain` spells them.
        layout: Its usual layout, for users.
        within: Names of a folder that may contain its folder, as `plain` spells them.
    """

    title: str
    folders: tuple[str, ...]
    layout: str
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptedSet(ImageSet):
    """Validation images, corrupted and stored at five severities.

    `families` maps each corruption to its family; folders `groups` may contain the corruptions.
    """

    families: dict[str, str] = field(hash=False)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalSet(ImageSet):
    """Images of ImageNet's classes from other sources.

    Attributes:
        count: The published number of images.
        class_subset: The labels that the dataset has; None for all of them.
        integers: Whether class folders are named by labels instead of WordNet ids.
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
    name = plain(variant)
    spellings = (f"imagenetv2{name}formatval", f"imagenetv2{name}", f"{name}formatval", name)
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
