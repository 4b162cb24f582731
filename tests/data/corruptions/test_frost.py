"""Frost with photographs, and which pictures are in use."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.data.corruptions import photographs
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.constants import CONSTANTS
from flatqat.data.corruptions.names import Table
from flatqat.errors import DataError
from tests.helpers.forbidden import forbid


def write_photographs(folder: Path) -> None:
    rows, columns = np.mgrid[:400, :500] // 2
    for number, name in enumerate(photographs.NAMES):
        picture = np.stack([rows, columns, np.full_like(rows, 50 * number)], -1).astype(np.uint8)
        Image.fromarray(picture).save(folder / name, "PNG")


@pytest.mark.parametrize(("table", "step"), [("cifar", 5), ("imagenet", 1)])
def test_frost_of_photographs(
    table: Table, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """b t on black, with t cut from a picture of the folder: every picture comes up, at many places, and for
    32 pixels it is read at one pixel in five."""
    monkeypatch.setenv(photographs.VARIABLE, str(tmp_path))
    write_photographs(tmp_path)
    assert photographs.in_use().startswith("photographs ")
    images, (_, amount, _) = torch.zeros(64, 3, 32, 32, dtype=torch.uint8), CONSTANTS[table]["frost"][0]
    result = corrupt(images, torch.arange(64), name="frost", severity=1, table=table).double() / amount
    assert len((result[:, 2, 0, 0] / 50).ceil().unique()) == 5
    for along in (result[:, 0, :, 0], result[:, 1, 0]):
        assert len(along[:, 0].unique()) > 20
        # Two readings, each rounded down by less than a level of the result, 31 pixels apart.
        slopes = (along[:, -1] - along[:, 0]) / 31
        assert float((slopes - step / 2).abs().max()) < (1 + 1 / amount) / 31


@pytest.mark.parametrize("table", CONSTANTS)
def test_frost_adds_shares_of_both(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """a x + b t in whole hundredths, for all levels x and photographs of one color t."""
    monkeypatch.setenv(photographs.VARIABLE, str(tmp_path))
    color = (10, 123, 250)
    for name in photographs.NAMES:
        Image.new("RGB", (200, 200), color).save(tmp_path / name, "PNG")
    levels = torch.arange(256).view(16, 16)
    for severity, (keep, amount, _) in enumerate(CONSTANTS[table]["frost"], 1):
        a, b = round(100 * keep), round(100 * amount)
        expected = torch.stack([(a * levels + b * t) // 100 for t in color]).clamp(max=255)
        images = levels.byte().expand(2, 3, 16, 16)
        result = corrupt(images, torch.arange(2), name="frost", severity=severity, table=table)
        assert torch.equal(result.long(), expected.expand(2, 3, 16, 16)), severity


def test_photographs_are_named_or_procedural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(photographs.VARIABLE, raising=False)
    assert photographs.in_use() == "procedural textures"
    monkeypatch.setenv(photographs.VARIABLE, str(tmp_path))
    (tmp_path / "frost1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"got no frost2\.png, .*; name ImageNet-C/create_c"):
        photographs.in_use()
    code = "import sys, flatqat.data.corruptions.photographs; assert not {'torch', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def no_image(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path.write_text("version https://git-lfs.github.com/spec/v1")
    return (
        "expected an image (JPEG, PNG, BMP, PPM, TIFF, WEBP, GIF), got a file that does not decode (no "
        "image); restore it from its source"
    )


def cut_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return "expected an image (JPEG, PNG, BMP, PPM, TIFF, WEBP, GIF), got a file that does not decode"


def forbidden(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    forbid(path, monkeypatch)
    return "expected to read it, got: Permission denied; check the link, the permissions and the disk"


@pytest.mark.parametrize("spoil", [no_image, cut_off, forbidden])
def test_photographs_that_cannot_be_decoded_stop_all_commands(
    spoil: Callable[[Path, pytest.MonkeyPatch], str],
    flatqat: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They name the file: `verify`, a dry run and a run alike, before anything is computed."""
    monkeypatch.setenv(photographs.VARIABLE, str(tmp_path))
    write_photographs(tmp_path)
    expected = f"{photographs.VARIABLE}={tmp_path}: {tmp_path / 'frost4.jpg'}: "
    expected += spoil(tmp_path / "frost4.jpg", monkeypatch)
    with pytest.raises(DataError, match=re.escape(expected)):
        photographs.in_use()
    run = ("bench", "run", "--method", "fp", "--results", tmp_path / "results")
    for command in (("suites", "verify", "digits-c"), (*run, "--dry-run"), run):
        done = flatqat(*command)
        assert done.code == 2
        assert expected.partition("; ")[0] in done.out + done.err
    assert not (tmp_path / "results").exists()


def test_verify_says_which_pictures_are_in_use(flatqat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(photographs.VARIABLE, raising=False)
    assert "ok    frost from procedural textures" in flatqat("suites", "verify", "digits-c").out
