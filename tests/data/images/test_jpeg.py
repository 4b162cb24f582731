"""JPEG images by simplejpeg: the pixels and the errors of Pillow, whatever the file."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from flatqat.data.images import jpeg
from flatqat.data.images.encoded import decode_image
from flatqat.data.tensors.image_files import image_files
from flatqat.errors import DataError
from tests.helpers.slow import slow

simplejpeg = pytest.importorskip("simplejpeg", reason="the extra `fast` is not installed")

SIZES = ((64, 48), (53, 37), (1, 1), (17, 200), (8, 3))
PLAIN: tuple[dict[str, Any], ...] = (
    {}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 100}, {"quality": 5}, {"keep_rgb": True},
    {"optimize": True}, {"restart_marker_blocks": 1}, {"comment": "x"}, {"icc_profile": b"x" * 300},
)  # fmt: skip
TURNED = Image.Exif()
TURNED[0x0112] = 6


def encoded(mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(buffer := io.BytesIO(), "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each image, whether simplejpeg decoded it."""
    used, decide = [], jpeg.rgb_of

    def watched(image: Image.Image) -> Any:
        used.append((pixels := decide(image)) is not None)
        return pixels

    monkeypatch.setattr(jpeg, "rgb_of", watched)
    return used


def outcome(content: bytes) -> Any:
    try:
        return decode_image(content, "the image").tolist()
    except DataError as error:
        return str(error)


def by_pillow(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as without:
        without.setattr(jpeg, "fast_decoder", lambda: None)
        return outcome(content)


@pytest.mark.parametrize("size", SIZES)
def test_plain_images_have_the_pixels_of_pillow(size, fast, monkeypatch):
    for options in PLAIN:
        content = encoded("RGB", size, **options)
        assert outcome(content) == by_pillow(content, monkeypatch), options
        assert fast[-2:] == [True, False]


def test_others_are_left_to_pillow(fast, monkeypatch):
    several = io.BytesIO()
    with Image.new("RGB", (8, 8)) as image:
        image.save(several, "MPO", save_all=True, append_images=[image])
    contents = [encoded("L"), encoded("CMYK"), encoded(progressive=True), several.getvalue()]
    for content in contents:
        assert outcome(content) == by_pillow(content, monkeypatch)
    assert fast == [False] * 8


def test_orientation_is_as_stored(fast):
    assert outcome(encoded(exif=TURNED)) == outcome(encoded())
    assert fast == [True, True]


def damaged() -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for options in ({}, {"subsampling": 0}, {"restart_marker_blocks": 2}):
        whole = encoded(size=(40, 24), **options)
        yield from (whole[:-2], whole[: len(whole) // 2], whole[:300], whole + b"more", whole[:2])
        for _ in range(100):
            content = bytearray(whole)
            content[rng.integers(len(content))] = rng.integers(256)
            yield bytes(content)


def test_damaged_images_fail_or_pass_as_with_pillow(fast, monkeypatch):
    for content in damaged():
        assert outcome(content) == by_pillow(content, monkeypatch)


@pytest.mark.parametrize("every", [100, *slow(25)])
def test_real_images_have_the_pixels_of_pillow(shared: Path, fast, monkeypatch, every):
    for path in sorted((shared / "data" / "imagenet" / "val").glob("*/*.JPEG"))[::every]:
        content = path.read_bytes()
        assert outcome(content) == by_pillow(content, monkeypatch)
    assert fast.count(True) == len(fast) // 2


def test_stored_images_pass_through_no_pillow_image(tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}.jpg" for i in range(3)]
    for path in paths:
        path.write_bytes(encoded(size=(32, 32)))
    expected = torch.tensor(outcome(encoded(size=(32, 32)))).permute(2, 0, 1)
    for name in ("load", "convert", "tobytes"):
        monkeypatch.setattr(JpegImageFile, name, lambda *_: pytest.fail("decoded by Pillow"))
    data = image_files(paths, torch.zeros(3).long(), torch.arange(3), classes=1, source="test", side=32)
    assert torch.equal(data.fetch(torch.arange(3)), expected.expand(3, -1, -1, -1))


def test_a_decoder_that_differs_is_not_used(monkeypatch):
    slower = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *a, **k: slower(*a, **k | {"fastupsample": True}))
    jpeg.fast_decoder.cache_clear()
    try:
        assert jpeg.fast_decoder() is None
    finally:
        jpeg.fast_decoder.cache_clear()
