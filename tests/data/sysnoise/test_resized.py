"""Copies whose images were all resized before are found, and originals are not."""

from pathlib import Path

import pytest
from PIL import Image

from flatqat.data.sysnoise.resized import check_resized


@pytest.mark.parametrize(("original", "ok"), [(0, False), (1, False), (3, True)])
def test_most_short_sides_alike_are_reported(original: int, ok: bool, tmp_path: Path) -> None:
    for place in range(20):
        size = (20 + place, 40) if place < original else ((16, 30 + place), (30 + place, 16))[place % 2]
        Image.new("RGB", size).save(tmp_path / f"{place:02}.png")
    found = check_resized(sorted(tmp_path.iterdir()))
    assert (found.ok, found.is_fatal) == (ok, False)
    assert f"a short side of 16 in {20 - original} of 20 images opened" in found.what
    assert ("resized before" in found.what) != ok


def test_a_damaged_image_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    assert check_resized([tmp_path / "a.jpg"]).is_fatal
