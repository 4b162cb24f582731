"""Corrupted images on disk: what the live corruption gives, whole, resumable, and tied to their source."""

import hashlib
import io
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.data.corruptions import generate as module
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.generate import generate
from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import DataError

NAMES = [f"n{at // 2:08d}/image_{at}.JPEG" for at in range(5)]


@pytest.fixture
def data() -> ImageData:
    images = torch.randint(256, (5, 3, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData.in_memory(images, torch.zeros(5, dtype=torch.long), classes=1, source="test")


def make(data, to, **changes):
    seen = []
    options = {"corruption": "gaussian_noise", "severity": 3, "table": "imagenet", "workers": 2, **changes}
    generate(data, NAMES, to, advance=seen.append, **options)
    assert sum(seen) == len(data)


def test_files_hold_the_live_corruption_at_quality_85(data, tmp_path):
    make(data, tmp_path)
    live = corrupt(data.fetch(torch.arange(5)), data.ids, name="gaussian_noise", severity=3, table="imagenet")
    for pixels, name in zip(live, NAMES, strict=True):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(buffer := io.BytesIO(), "JPEG", quality=85)
        written = np.asarray(Image.open(tmp_path / "gaussian_noise" / "3" / name))
        assert (written == np.asarray(Image.open(buffer))).all()


def test_hashes_are_those_of_the_files(data, tmp_path):
    make(data, tmp_path)
    lines = (tmp_path / "gaussian_noise" / "3.sha256").read_text().splitlines()
    folder = tmp_path / "gaussian_noise" / "3"
    assert lines == [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}" for n in NAMES]
    check = ["sha256sum", "-c", "--quiet", "../3.sha256"]
    assert subprocess.run(check, cwd=folder, check=False).returncode == 0


def test_a_stopped_call_goes_on_and_ends_the_same(data, tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    make(data, whole)
    wrote = []

    def fails_on_the_third(pixels, path):
        if len(wrote) == 2:
            raise KeyboardInterrupt
        wrote.append(path)
        module_write(pixels, path)

    module_write = module._write_jpeg
    monkeypatch.setattr(module, "_write_jpeg", fails_on_the_third)
    with pytest.raises(KeyboardInterrupt):
        make(data, stopped, workers=1)
    assert not (stopped / "gaussian_noise" / "3.sha256").exists()
    kept = {path: path.stat().st_mtime_ns for path in wrote}
    monkeypatch.undo()
    make(data, stopped)
    assert {path: path.stat().st_mtime_ns for path in wrote} == kept
    relative = [p.relative_to(whole) for p in sorted(whole.rglob("*")) if p.is_file()]
    assert relative == [p.relative_to(stopped) for p in sorted(stopped.rglob("*")) if p.is_file()]
    assert all((whole / p).read_bytes() == (stopped / p).read_bytes() for p in relative)


def test_a_complete_folder_is_left_alone(data, tmp_path, monkeypatch):
    make(data, tmp_path)
    monkeypatch.setattr(module, "corrupt", lambda *args, **kwargs: pytest.fail("made again"))
    make(data, tmp_path)


def test_other_images_are_refused(data, tmp_path):
    make(data, tmp_path)
    other = ImageData.in_memory(data.fetch(torch.arange(5)) // 2, data.labels, classes=1, source="other")
    with pytest.raises(DataError, match=r"made from these 5 images.*choose another --to"):
        make(other, tmp_path)


def test_a_folder_that_cannot_be_written_is_one_error(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="expected a writable folder"):
        make(data, tmp_path / "file")
