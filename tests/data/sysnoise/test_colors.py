"""Y'CbCr against the numbers printed in the standards, Pillow and OpenCV."""

import numpy as np
import pytest
from PIL import Image

from flatqat.data.sysnoise.colors import FORMS, round_trip

PHOTO = np.random.default_rng(5).integers(0, 256, (22, 30, 3), np.uint8)
# Black, and the levels of R'G'B' in [0, 1] in Y', Cb and Cr: those of T.871 for the full range, and for video
# the coefficients of BT.601 and BT.709 times 219 and 224.
PRINTED = {
    "bt601_full": (
        0, np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]) * 255
    ),
    "bt601": (
        16, np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    ),
    "bt709": (
        16, np.array([[46.559, 156.629, 15.812], [-25.664, -86.336, 112.0], [112.0, -101.730, -10.270]])
    ),
}  # fmt: skip
ROUNDED = 0.5 + 0.01


@pytest.mark.parametrize("form", PRINTED)
def test_both_ways_are_those_of_the_standard(form: str) -> None:
    black, matrix = PRINTED[form]
    offset = np.array([black, 128, 128])
    luma, chroma = FORMS[form].stored(PHOTO)
    exact = PHOTO / 255 @ matrix.T + offset
    stored = np.concatenate([luma[..., None], chroma], -1)
    assert np.abs(stored - exact.clip(0, 255)).max() < ROUNDED
    back = 255 * (stored - offset) @ np.linalg.inv(matrix).T
    assert np.abs(round_trip(PHOTO, form) - back.clip(0, 255)).max() < ROUNDED


def test_the_full_range_is_pillows() -> None:
    """Whose tables have 6 bits less, so that a level may differ by one."""
    theirs = np.asarray(Image.fromarray(PHOTO).convert("YCbCr")).astype(int)
    luma, chroma = FORMS["bt601_full"].stored(PHOTO)
    assert np.abs(theirs[..., 0] - luma).max() <= 1
    assert np.abs(theirs[..., 1:] - chroma).max() <= 1
    back = np.asarray(Image.fromarray(np.dstack([luma, chroma]), "YCbCr").convert("RGB")).astype(int)
    assert np.abs(back - round_trip(PHOTO, "bt601_full")).max() <= 1


@pytest.mark.parametrize(
    ("form", "ends"), [("bt601_full", (0, 255)), ("bt601", (16, 235)), ("bt709", (16, 235))]
)
def test_gray_has_no_color_and_comes_back(form: str, ends: tuple[int, int]) -> None:
    gray = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    luma, chroma = FORMS[form].stored(gray)
    assert (luma[0, 0], luma[0, -1]) == ends
    assert (chroma == 128).all()
    back = round_trip(gray, form).astype(int)
    assert np.abs(back - gray).max() <= (0 if form == "bt601_full" else 1)
    assert back[0, 0].tolist() == [0, 0, 0]
    assert back[0, -1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("size", [(22, 30), (21, 29)])
def test_nv12_shares_the_mean_chroma_of_four_pixels(size: tuple[int, int]) -> None:
    photo = PHOTO[: size[0], : size[1]]
    luma, chroma = FORMS["nv12"].stored(photo)
    assert (luma == FORMS["bt601"].stored(photo)[0]).all()
    _, matrix = PRINTED["bt601"]
    exact = (photo / 255 @ matrix.T)[..., 1:] + 128
    assert chroma.shape == (11, 15, 2)
    for row, column in ((0, 0), (3, 7), (10, 14)):
        block = exact[[2 * row, min(2 * row + 1, size[0] - 1)]][
            :, [2 * column, min(2 * column + 1, size[1] - 1)]
        ]
        assert np.abs(chroma[row, column] - block.mean((0, 1))).max() < ROUNDED


def test_nv12_is_shown_as_by_opencv() -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    luma, chroma = FORMS["nv12"].stored(PHOTO)
    theirs = cv2.cvtColor(np.concatenate([luma, chroma.reshape(11, 30)]), cv2.COLOR_YUV2RGB_NV12)
    assert np.abs(theirs.astype(int) - round_trip(PHOTO, "nv12")).max() <= 1


def test_many_images_at_once_are_each_alone() -> None:
    many = np.stack([PHOTO, PHOTO[::-1], PHOTO[:, ::-1]])
    for form in FORMS:
        assert (round_trip(many, form) == np.stack([round_trip(one, form) for one in many])).all()
