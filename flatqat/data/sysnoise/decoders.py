"""JPEG decoders that trade exactness for speed, as libjpeg-turbo offers them.

`fast_dct` approximates the inverse cosine transform in fewer bits (JDCT_IFAST, the default of TensorFlow),
`fast_chroma` repeats the chroma of subsampled images instead of interpolating it. OpenCV and torchvision use
libjpeg-turbo as Pillow does, with the same bytes as a result.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version

from PIL import Image as Pillow
from PIL.Image import Image

from flatqat.data.images.encoded import Pixels, to_rgb
from flatqat.errors import DataError

FAST: Mapping[str, tuple[bool, bool]] = {
    "fast_dct": (True, False),
    "fast_chroma": (False, True),
    "fast_both": (True, True),
}
"""Whether the cosine transform and whether the chroma is fast."""


def decode_fast(name: str, image: Image) -> Image:
    """Return an opened image as RGB, a JPEG of three channels by one of `FAST`.

    Any other file, and one of which libjpeg warns, is decoded as `to_rgb` does.

    Raises DataError if the file is damaged, or simplejpeg is not installed.
    """
    from PIL.JpegImagePlugin import JpegImageFile

    if not isinstance(image, JpegImageFile) or len(image.layer) != 3 or image.fp is None:
        return to_rgb(image)
    decode = _decoder()
    dct, chroma = FAST[name]
    image.fp.seek(0)
    try:
        pixels = decode(image.fp.read(), "RGB", fastdct=dct, fastupsample=chroma)
    except ValueError:  # libjpeg warns: Pillow reads it, or says what is wrong
        return to_rgb(image)
    return Pillow.fromarray(pixels)


def found() -> str:
    """Return which library decodes. Raises DataError if it is not installed."""
    _decoder()
    return f"fast JPEG decoding by simplejpeg {version('simplejpeg')}"


def _decoder() -> Callable[..., Pixels]:
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        raise DataError(
            "expected simplejpeg, which decodes the shifts of the family decoder, got none; install it with: "
            "pip install 'flatqat[fast]'"
        ) from None
    decoder: Callable[..., Pixels] = decode_jpeg
    return decoder
