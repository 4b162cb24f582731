"""What the guide says about one's own images: its suite runs on a folder of them, its function on arrays."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.testing.suites import CHECKS
from tests.helpers import ROOT

SUITE, ARRAYS = re.findall(
    r"```py\n(.*?)```", (ROOT / "docs/adding-a-suite.md").read_text("utf-8"), re.DOTALL
)
COLORS = {"cat": (200, 40, 40), "dog": (40, 40, 200)}


@pytest.fixture
def folder(tmp_path):
    """Images whose color is their class, by night darker ones, of several sizes."""
    rng = np.random.default_rng(0)
    for part, count in {"train": 8, "val": 4, "test": 4, "night": 3}.items():
        for name, color in COLORS.items():
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(-30, 30, (80 + i, 90, 3))
                pixels = np.clip((np.array(color) + noise) // (2 if part == "night" else 1), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / part / name / f"{i}.png")
    (tmp_path / "data" / "test" / "cat" / ".hidden").write_text("no image")
    (tmp_path / "my_images.py").write_text(SUITE)
    return tmp_path


def test_the_suite_of_the_guide_passes_the_checks_and_runs(flatqat, folder):
    file, data = folder / "my_images.py", folder / "data"
    done = flatqat("test", file, "--data-root", data)
    assert done.code == 0, done.out
    assert done.out.count("passed suite cats-and-dogs") == len(CHECKS)
    options = ("--plugin", file, "--suite", "cats-and-dogs", "--data-root", data, "--no-flatness")
    short = ("--set", "recipe.pretrain_steps=30", "--set", "recipe.batch_size=8", "--method", "fp,ptq")
    done = flatqat("bench", "run", *options, *short, "--bits", "8", "--seeds", "1", "--results", folder / "r")
    assert done.code == 0, done.err
    records = [json.loads(path.read_text()) for path in folder.glob("r/records/cats-and-dogs/*.json")]
    assert len(records) == 2
    for record in records:
        assert record["scores"]["id"]["top1"]["value"] == 100
        assert record["scores"]["id"]["top1"]["n"] == 8
        assert record["scores"]["night"]["top1"]["n"] == 6


def test_without_images_the_check_says_where_they_belong(flatqat, folder):
    for path in (folder / "data" / "night").rglob("*.png"):
        path.unlink()
    done = flatqat("test", folder / "my_images.py", "--data-root", folder / "data")
    assert done.code == 1
    line = SUITE[: SUITE.index("SUITE =")].count("\n") + 1
    assert "got: night: 0 images" in done.out
    assert f"({folder / 'my_images.py'}:{line} in SUITE, checked by" in done.out
    done = flatqat("test", folder / "my_images.py")
    assert "pass it if there is some, got: no data root" in done.out


def test_arrays_in_memory():
    namespace = {}
    exec(ARRAYS, namespace)
    pixels = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    data = namespace["from_arrays"](pixels, np.array([3, 9]))
    assert not data.per_pixel
    images, labels = data.batch(torch.tensor([1]))
    assert labels.tolist() == [9]
    assert np.array_equal((images[0] * 255).round().byte().numpy(), pixels[1])
