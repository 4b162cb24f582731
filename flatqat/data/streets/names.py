"""The datasets of street scenes: their folders, file endings and numbers of images.

All but CamVid share the 19 classes that Cityscapes scores. Sources: Cordts et al. 2016 (arXiv 1604.01685),
Sakaridis et al. 2021 (ACDC, arXiv 2104.13395), Sakaridis et al. 2019 (Dark Zurich, arXiv 1901.05946), Dai &
Van Gool 2018 (Nighttime Driving, arXiv 1810.02575), Yu et al. 2020 (BDD100K, arXiv 1805.04687).
"""

from collections.abc import Mapping
from dataclasses import dataclass

CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip

MAKE = "make them with csCreateTrainIdLabelImgs of cityscapesscripts (CITYSCAPES_DATASET names the folder)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Folders of images and of their label maps below a dataset's folder.

    Attributes:
        images: The folder of images.
        masks: The folder of label maps.
        image_end: How the names of images end.
        mask_end: How the names of label maps end.
        shared: Whether the folder of images also holds other parts of the dataset.
    """

    images: str
    masks: str
    image_end: str
    mask_end: str
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreetSet:
    """A dataset of street scenes: its folders and published counts.

    Attributes:
        title: The dataset's name.
        folders: Spellings of its folder, lower case and without punctuation; the first one is shown to users.
        places: For each part, where its files may lie, the usual place first.
        counts: The published number of images of each part.
        layout: The folders of a complete copy, for users.
        fix: How to get label maps of train ids if a copy holds others.
    """

    title: str
    folders: tuple[str, ...]
    places: Mapping[str, tuple[Place, ...]]
    counts: Mapping[str, int]
    layout: str
    fix: str = MAKE


def _place(images: str, masks: str, *, shared: bool = False) -> Place:
    """Return the place that two patterns `FOLDER/*ENDING` describe."""
    (images, _, image_end), (masks, _, mask_end) = images.partition("/*"), masks.partition("/*")
    return Place(images=images, masks=masks, image_end=image_end, mask_end=mask_end, shared=shared)


def _cityscapes(split: str) -> tuple[Place, ...]:
    return (_place(f"leftImg8bit/{split}/*_leftImg8bit.png", f"gtFine/{split}/*_gtFine_labelTrainIds.png"),)


def _acdc(images: str, masks: str, *, ref: str = "", shared: bool = False) -> Place:
    masks = f"gt/{masks}/*_gt{ref}_labelTrainIds.png"
    return _place(f"rgb_anon/{images}/*_rgb{ref}_anon.png", masks, shared=shared)


def _condition(name: str) -> tuple[Place, ...]:
    """Return the published place, and those in which `rsync rgb_anon/*/val/*/*` flattened one tree."""
    own, flat = f"{name}/val", "val"
    return _acdc(own, own), _acdc(own, flat), _acdc(flat, own, shared=True)


CITYSCAPES = StreetSet(
    title="Cityscapes",
    folders=("cityscapes",),
    places={split: _cityscapes(split) for split in ("train", "val")},
    counts={"train": 2975, "val": 500},
    layout="""cityscapes/leftImg8bit/{train,val}/<city>/*_leftImg8bit.png
  cityscapes/gtFine/{train,val}/<city>/*_gtFine_labelTrainIds.png""",
)

CONDITIONS = {"fog": 100, "night": 106, "rain": 100, "snow": 100}
FLAT = "flat"

ACDC = StreetSet(
    title="ACDC",
    folders=("acdc",),
    places={name: _condition(name) for name in CONDITIONS}
    | {f"{name}_ref": (_acdc(f"{name}/val_ref", f"{name}/val_ref", ref="_ref"),) for name in CONDITIONS}
    | {FLAT: (_acdc("val", "val"),)},
    counts=CONDITIONS | {FLAT: sum(CONDITIONS.values())},
    layout="""acdc/rgb_anon/<condition>/val/<sequence>/*_rgb_anon.png
  acdc/gt/<condition>/val/<sequence>/*_gt_labelTrainIds.png""",
    fix="unpack gt_trainval.zip of ACDC, which has *_gt_labelTrainIds.png",
)

DARK_ZURICH = StreetSet(
    title="Dark Zurich",
    folders=("darkzurich", "darkzurichvalanon", "darkzurichval"),
    places={"night": (_acdc("val/night", "val/night"),)},
    counts={"night": 50},
    layout="""dark_zurich/rgb_anon/val/night/GOPR0356/*_rgb_anon.png
  dark_zurich/gt/val/night/GOPR0356/*_gt_labelTrainIds.png""",
    fix="unpack Dark_Zurich_val_anon.zip, which has *_gt_labelTrainIds.png",
)

NIGHTTIME_DRIVING = StreetSet(
    title="Nighttime Driving",
    folders=("nighttimedrivingtest", "nighttimedriving"),
    places={
        "night": (
            _place(
                "leftImg8bit/test/night/*_leftImg8bit.png",
                "gtCoarse_daytime_trainvaltest/test/night/*_gtCoarse_labelTrainIds.png",
            ),
        )
    },
    counts={"night": 50},
    layout="""NighttimeDrivingTest/leftImg8bit/test/night/*_leftImg8bit.png
  NighttimeDrivingTest/gtCoarse_daytime_trainvaltest/test/night/*_gtCoarse_labelTrainIds.png""",
    fix="unpack NighttimeDrivingTest.zip, which has *_gtCoarse_labelTrainIds.png",
)

BDD100K = StreetSet(
    title="BDD100K",
    folders=("bdd100k", "bdd100kseg", "bdd"),
    places={
        "val": (
            _place("images/10k/val/*.jpg", "labels/sem_seg/masks/val/*.png"),
            _place("images/val/*.jpg", "labels/val/*_train_id.png"),
        )
    },
    counts={"val": 1000},
    layout="""bdd100k/images/10k/val/*.jpg, bdd100k/labels/sem_seg/masks/val/*.png
  or as it was before 2020: bdd100k/seg/images/val/*.jpg, bdd100k/seg/labels/val/*_train_id.png""",
    fix="use the masks of train ids, not the color_labels or polygons beside them",
)

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign symbol", "fence", "car", "pedestrian",
    "bicyclist",
)  # fmt: skip
CAMVID_LAYOUT = """camvid in the data root, or the data root itself, as SegNet's tutorial has it:
  camvid/{train,val,test}/*.png (or .jpg)        480x360
  camvid/{train,val,test}annot/*.png             labels 0 to 10, 11 for void"""
