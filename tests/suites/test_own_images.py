"""The functions of the guide that wrap one's own images do what it says."""

import re

import numpy as np
import torch
from PIL import Image

from tests.helpers import ROOT


def functions_of_the_guide():
    (code,) = re.findall(r"```py\n(.*?)```", (ROOT / "docs/adding-a-suite.md").read_text("utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 20
    namespace = {}
    exec(code, namespace)
    return namespace


def test_a_folder_for_each_class(tmp_path):
    colors = {"cat": (250, 0, 0), "ant": (0, 0, 250)}
    for name, color in colors.items():
        (tmp_path / name).mkdir()
        Image.new("RGB", (300, 260), color).save(tmp_path / name / "one.png")
    data = functions_of_the_guide()["from_folders"](tmp_path)
    images, labels = data.batch(torch.arange(2))
    assert labels.tolist() == [0, 1]
    assert images.shape == (2, 3, 224, 224)
    assert (images[:, :, 0, 0] * 255).round().tolist() == [[0, 0, 250], [250, 0, 0]]


def test_arrays_in_memory():
    pixels = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    data = functions_of_the_guide()["from_arrays"](pixels, np.array([3, 9]))
    assert not data.per_pixel
    images, labels = data.batch(torch.tensor([1]))
    assert labels.tolist() == [9]
    assert np.array_equal((images[0] * 255).round().byte().numpy(), pixels[1])
