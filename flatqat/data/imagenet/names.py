"""The datasets of ImageNet's classes: contents and names of folders. Imports the standard library only."""

from dataclasses import dataclass, field
from typing import Literal

from flatqat.data.corruptions.names import NAMES
from flatqat.data.imagenet import classes, sixteen
from flatqat.data.images.data_root import plain

Naming = Literal["wnid", "integer", "sixteen"]

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

    Attributes:
        families: The family of each corruption.
        groups: Names of folders that may contain the corruptions.
    """

    families: dict[str, str] = field(hash=False)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalSet(ImageSet):
    """Images of ImageNet's classes from other sources.

    Attributes:
        count: The published number of images.
        class_subset: The labels that the dataset has; None for all of them.
        naming: Whether class folders are named by WordNet ids, by labels, or as the 16 classes of `sixteen`,
            whose places are then the labels.
    """

    count: int
    class_subset: tuple[int, ...] | None = None
    naming: Naming = "wnid"

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels stand for: WordNet ids, or the names of the 16 classes."""
        return class_names(self.naming)


def class_names(naming: Naming) -> tuple[str, ...]:
    """Return the class of each label: WordNet ids, or the names of the 16 classes."""
    return sixteen.NAMES if naming == "sixteen" else classes.wnids()


IMAGENET = ("imagenet", "imagenet1k", "imagenet2012", "ilsvrc2012", "ilsvrc")

IMAGENET_C = CorruptedSet(
    title="ImageNet-C", folders=("imagenetc",), layout="imagenet-c/<corruption>/<severity>/<wnid>/*.JPEG",
    families=NAMES, groups=("noise", "blur", "weather", "digital", "extra"),
)  # fmt: skip

_BAR = (
    "blue_noise_sample", "brownish_noise", "caustic_refraction", "checkerboard_cutout",
    "cocentric_sine_waves", "inverse_sparkles", "perlin_noise", "plasma_noise",
    "single_frequency_greyscale", "sparkles",
)  # fmt: skip
IMAGENET_C_BAR = CorruptedSet(
    title="ImageNet-C-bar", folders=("imagenetcbar",), families={name: name for name in _BAR},
    layout="imagenet-c-bar/<corruption>/<severity>/<wnid>/*.JPEG",
)  # fmt: skip

_3D = (
    "near_focus", "far_focus", "fog_3d", "flash", "color_quant", "low_light", "xy_motion_blur",
    "z_motion_blur", "iso_noise", "bit_error", "h265_abr", "h265_crf",
)  # fmt: skip
IMAGENET_3DCC = CorruptedSet(
    title="ImageNet-3DCC", folders=("imagenet3dcc", "3dcc"), families={name: name for name in _3D},
    layout="ImageNet-3DCC/<corruption>/<severity>/<wnid>/*.JPEG",
)  # fmt: skip

IMAGENET_R = NaturalSet(
    title="ImageNet-R", folders=("imagenetr",), layout="imagenet-r/<wnid>/*.jpg",
    count=30_000, class_subset=classes.subset("r"),
)  # fmt: skip
IMAGENET_A = NaturalSet(
    title="ImageNet-A", folders=("imageneta",), layout="imagenet-a/<wnid>/*.jpg",
    count=7_500, class_subset=classes.subset("a"),
)  # fmt: skip
IMAGENET_SKETCH = NaturalSet(
    title="ImageNet-Sketch", folders=("imagenetsketch", "sketch"), layout="sketch/<wnid>/*.JPEG",
    count=50_889, within=("imagenetsketch",),
)  # fmt: skip


def _v2(variant: str) -> NaturalSet:
    name = plain(variant)
    spellings = (f"imagenetv2{name}formatval", f"imagenetv2{name}", f"{name}formatval", name)
    layout = f"imagenetv2-{variant}-format-val/<0 to 999>/*.jpeg"
    return NaturalSet(
        title=f"ImageNetV2 {variant}", folders=spellings, layout=layout,
        count=10_000, within=("imagenetv2",), naming="integer",
    )  # fmt: skip


IMAGENET_V2 = {variant: _v2(variant) for variant in ("matched-frequency", "threshold0.7", "top-images")}

EDGES, SILHOUETTES = (
    NaturalSet(
        title=title, folders=folders, layout=f"texture-vs-shape/{layout}/<class>/*.png",
        count=160, within=("texturevsshape", "stimuli"), naming="sixteen",
    )
    for title, layout, folders in (
        ("edge drawings", "edges", ("edges", "edge")),
        ("filled silhouettes", "filled-silhouettes", ("filledsilhouettes", "silhouettes", "silhouette")),
    )
)  # fmt: skip

SETS: tuple[ImageSet, ...] = (
    IMAGENET_C, IMAGENET_C_BAR, IMAGENET_3DCC, IMAGENET_R, IMAGENET_A, IMAGENET_SKETCH, *IMAGENET_V2.values(),
    EDGES, SILHOUETTES,
)  # fmt: skip
