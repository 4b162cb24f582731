"""What the tests of MMSegmentation's networks share: when they run, and a few configs by name."""

import importlib.util

import pytest

from flatqat import registry
from flatqat.models.mmseg import _configs

MARKS = [
    pytest.mark.filterwarnings("ignore"),  # mmseg, mmcv and mmengine warn of themselves
    pytest.mark.skipif(
        not importlib.util.find_spec("mmseg"), reason="mmseg is not installed: pip install 'flatqat[seg]'"
    ),
]
SEGFORMER = "segformer_mit-b0_8xb1-160k_cityscapes-1024x1024"
DEEPLAB = "deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024"
PIDNET = "pidnet-s_2xb6-120k_1024x1024-cityscapes"


def source():
    return registry.load(registry.MODELS, "mmseg")


def path_of(name):
    return _configs()[name]
