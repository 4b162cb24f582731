"""What is read as an image: 8 bits a channel, of formats that Pillow decodes itself."""

import os
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from flatqat.data.images.encoded import decode_file, decode_image, rgb_pixels
from flatqat.errors import DataError

SIDE = 8
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"


def png(color_type: int, channels: int, bits: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, color_type, 0, 0, 0)
    rows = (b"\0" + bytes(range(SIDE * channels * bits // 8))) * SIDE
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(bits: int) -> bytes:
    """RGB, uncompressed, by the tags of TIFF 6.0."""
    data = bytes(SIDE * SIDE * 3 * bits // 8)
    values = {256: SIDE, 257: SIDE, 259: 1, 262: 2, 277: 3, 278: SIDE, 279: len(data), 284: 1}
    start = 8 + 2 + 12 * (len(values) + 2) + 4
    entries = {tag: (4, 1, value) for tag, value in values.items()}
    entries |= {258: (3, 3, start), 273: (4, 1, start + 6)}
    listed = [struct.pack("<HHII", tag, *entries[tag]) for tag in sorted(entries)]
    head = b"II*\0" + struct.pack("<IH", 8, len(listed)) + b"".join(listed) + struct.pack("<I", 0)
    return head + struct.pack("<HHH", bits, bits, bits) + data


def ppm(largest: int) -> bytes:
    return b"P6 8 8 %d\n" % largest + bytes(SIDE * SIDE * 3 * (1 if largest < 256 else 2))


def bmp() -> bytes:
    """16 bits a pixel, of which a channel has five or six."""
    content = bytearray(saved("BMP", "RGB")[:54] + bytes(SIDE * SIDE * 2))
    content[28:30] = struct.pack("<H", 16)
    return bytes(content)


def saved(kind: str, mode: str) -> bytes:
    Image.new(mode, (SIDE, SIDE)).save(buffer := BytesIO(), kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(png(*kind, 16), id=f"PNG {kind}") for kind in ((0, 1), (2, 3), (4, 2), (6, 4))),
        pytest.param(tiff(16), id="TIFF"),
        pytest.param(ppm(65535), id="PPM"),
        pytest.param(b"P5 8 8 65535\n" + bytes(128), id="PGM"),
        pytest.param(saved("TIFF", "F"), id="TIFF of floats"),
    ],
)
def test_images_of_more_than_8_bits_a_channel_are_refused(content):
    with pytest.raises(DataError, match=r"^night: expected an image of 8 bits a channel, got "):
        decode_image(content, "night")


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(png(*kind, 8), id=f"PNG {kind}") for kind in ((0, 1), (2, 3), (4, 2), (6, 4))),
        pytest.param(tiff(8), id="TIFF"),
        pytest.param(ppm(255), id="PPM"),
        pytest.param(ppm(100), id="PPM of 101 levels"),
        pytest.param(bmp(), id="BMP of 16 bits a pixel"),
        *(
            pytest.param(saved(kind, mode), id=f"{kind} {mode}")
            for kind in ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF")
            for mode in ("RGB", "L", "1")
        ),
        pytest.param(saved("JPEG", "CMYK"), id="JPEG CMYK"),
        pytest.param(saved("PNG", "P"), id="PNG P"),
    ],
)
def test_all_others_are_rgb(content):
    assert decode_image(content, "day").shape == (SIDE, SIDE, 3)


def test_an_image_starts_no_other_program(tmp_path, monkeypatch):
    """Pillow asks Ghostscript for PostScript, whatever the file is called."""
    (program := tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (image := tmp_path / "0.png").write_bytes(POSTSCRIPT)
    with pytest.raises(DataError, match=r"0.png: expected an image .*\(no image\)"):
        decode_file(image, rgb_pixels)
    with pytest.raises(DataError, match="expected a PNG or JPEG image"):
        decode_image(POSTSCRIPT, "0.png")
    assert not (tmp_path / "started").exists()


def test_pixels_are_those_of_the_file():
    expected = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(expected).save(buffer := BytesIO(), "PNG")
    assert np.array_equal(decode_image(buffer.getvalue(), "one"), expected)
