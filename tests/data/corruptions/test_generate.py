"""Corrupted images on disk: what the live corruption gives, whole, resumable, and tied to their source."""

import errno
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.data.corruptions import generate as module
from flatqat.data.corruptions import photographs
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.generate import generate
from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import DataError
from tests.helpers.slow import slow

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


def test_a_damaged_file_is_made_again_and_never_hashed(data, tmp_path):
    make(data, tmp_path)
    folder = tmp_path / "gaussian_noise" / "3"
    before = (tmp_path / "gaussian_noise" / "3.sha256").read_text()
    (folder / NAMES[0]).write_bytes(b"")
    (folder / NAMES[1]).unlink()
    make(data, tmp_path)
    assert (tmp_path / "gaussian_noise" / "3.sha256").read_text() == before
    assert (
        subprocess.run(["sha256sum", "-c", "--quiet", "../3.sha256"], cwd=folder, check=False).returncode == 0
    )


def test_a_damaged_file_of_hashes_is_written_again(data, tmp_path):
    make(data, tmp_path)
    hashes = tmp_path / "gaussian_noise" / "3.sha256"
    before = hashes.read_bytes()
    hashes.write_bytes(b"\xff\n0" + before[:100])
    make(data, tmp_path)
    assert hashes.read_bytes() == before


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


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from flatqat.data.corruptions.generate import generate
from flatqat.data.tensors.image_data import ImageData

images = torch.randint(256, (5, 3, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
data = ImageData.in_memory(images, torch.zeros(5, dtype=torch.long), classes=1, source="test")
replaced, replace = [], Path.replace

def kill_at(path, target):
    if len(replaced) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    replaced.append(path)
    return replace(path, target)

Path.replace = kill_at
names = [f"n{at // 2:08d}/image_{at}.JPEG" for at in range(5)]
generate(data, names, Path(sys.argv[1]), corruption="gaussian_noise", severity=3, table="imagenet", workers=1)
"""


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("at", [1, *slow(0, 3, 6)])
def test_a_killed_process_leaves_nothing_behind_once_the_call_is_repeated(data, tmp_path, at):
    """At the manifest, the first and the third image, and the hashes."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    make(data, whole)
    child = subprocess.run([sys.executable, "-c", KILLED, killed, str(at)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert any(path.name.endswith(".tmp") for path in contents(killed))
    make(data, killed)
    assert contents(killed) == contents(whole)


def test_a_full_disk_is_one_error_and_the_call_goes_on_later(data, tmp_path, monkeypatch):
    whole, full = tmp_path / "whole", tmp_path / "full"
    make(data, whole)
    wrote, write = [], Path.write_bytes

    def fails_on_the_third(path, content):
        wrote.append(path)
        if len(wrote) == 3:
            write(path, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fails_on_the_third)
    with pytest.raises(DataError, match="free space, got: No space left on device; fix that and run"):
        make(data, full, workers=1)
    monkeypatch.undo()
    assert not any(path.name.endswith(".tmp") for path in contents(full))
    make(data, full)
    assert contents(full) == contents(whole)


def test_two_calls_at_once_write_the_same_files(data, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: make(data, tmp_path / "both"), range(2)))
    make(data, tmp_path / "one")
    assert contents(tmp_path / "both") == contents(tmp_path / "one")


def test_files_have_the_permissions_that_the_user_asks_for(data, tmp_path):
    before = os.umask(0o007)
    try:
        make(data, tmp_path / "made")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "made").rglob("*") if path.is_file()}
    assert modes == {0o660}


def test_links_to_folders_are_followed(data, tmp_path):
    make(data, tmp_path / "plain")
    (tmp_path / "elsewhere" / "fog").mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "gaussian_noise").symlink_to(tmp_path / "elsewhere" / "fog")
    (tmp_path / "to").symlink_to(tmp_path / "linked")
    make(data, tmp_path / "to")
    assert (tmp_path / "linked" / "gaussian_noise").is_symlink()
    assert contents(tmp_path / "elsewhere" / "fog") == contents(tmp_path / "plain" / "gaussian_noise")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
def test_names_that_are_not_utf_8_are_written(data, tmp_path):
    names = [os.fsdecode(b"n00000000/caf\xe9_%d.JPEG" % at) for at in range(5)]
    generate(data, names, tmp_path, corruption="fog", severity=1, table="imagenet")
    folder = tmp_path / "fog" / "1"
    assert sorted(os.listdir(os.fsencode(folder / "n00000000"))) == [
        b"caf\xe9_%d.JPEG" % at for at in range(5)
    ]
    check = subprocess.run(["sha256sum", "-c", "--quiet", "../1.sha256"], cwd=folder, check=False)
    assert check.returncode == 0


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, "\xff"])
def test_a_damaged_manifest_is_refused(data, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"manifest.json: expected a JSON object, got .*choose another --to"):
        make(data, tmp_path)


def test_a_complete_folder_is_left_alone(data, tmp_path, monkeypatch):
    make(data, tmp_path)
    monkeypatch.setattr(module, "corrupt", lambda *args, **kwargs: pytest.fail("made again"))
    make(data, tmp_path)


def test_an_image_that_was_lost_is_made_again(data, tmp_path):
    make(data, tmp_path)
    before = contents(tmp_path)
    (tmp_path / "gaussian_noise" / "3" / NAMES[2]).unlink()
    make(data, tmp_path)
    assert contents(tmp_path) == before


def test_what_a_folder_was_made_with_is_named_where_it_differs(data, tmp_path, monkeypatch):
    make(data, tmp_path)
    monkeypatch.setattr(photographs, "in_use", lambda: "photographs 12345678")
    other = re.escape("got one with another frost (procedural textures, not photographs 12345678); choose")
    with pytest.raises(DataError, match=other):
        make(data, tmp_path)


def test_other_images_are_refused(data, tmp_path):
    make(data, tmp_path)
    other = ImageData.in_memory(data.fetch(torch.arange(5)) // 2, data.labels, classes=1, source="other")
    with pytest.raises(DataError, match=r"made from these 5 images.*choose another --to"):
        make(other, tmp_path)


def test_a_photograph_of_ice_that_is_no_image_is_named(data, tmp_path, monkeypatch):
    for name in photographs.NAMES:
        (tmp_path / name).write_text("no image")
    monkeypatch.setenv(photographs.VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=r"FLATQAT_FROST=.*frost1\.png: expected an image"):
        make(data, tmp_path / "to")


def test_a_folder_that_cannot_be_written_is_one_error(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="expected a writable folder"):
        make(data, tmp_path / "file")
