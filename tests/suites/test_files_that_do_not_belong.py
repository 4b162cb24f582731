"""Files that are damaged, odd or of another kind, in the middle of a set: verifying and running agree.

What `verify` lets through can be read, and what a run would refuse is named before it starts.
"""

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.data.cifar.sets import CIFAR10
from flatqat.errors import DataError
from tests.helpers import cifar_files, domain_files, imagenet_files, street_files
from tests.helpers.forbidden import forbid
from tests.helpers.loading import load, stops


def imagenet(root: Path) -> Path:
    folder = imagenet_files.val(root) / "imagenet" / "val"
    return folder / "n01751748" / imagenet_files.name(1)


def domains(root: Path) -> Path:
    return domain_files.write(root, "PACS", images=5) / "photo" / "horse" / "pic_001.jpg"


def streets(root: Path) -> Path:
    street_files.acdc(root)
    home = street_files.cityscapes(root)
    return home / "leftImg8bit/val/frankfurt/frankfurt_000001_000019_leftImg8bit.png"


def cifar(root: Path) -> Path:
    cifar_files.batches(CIFAR10, root / "cifar-10-batches-py", {"train": 50, "test": 10})
    return root / "cifar-10-batches-py" / "data_batch_1"


def cifar_c(root: Path) -> Path:
    cifar(root)
    (root / "CIFAR-10-C").mkdir()
    np.save(root / "CIFAR-10-C" / "labels.npy", np.arange(10))
    return root / "CIFAR-10-C" / "labels.npy"


def camvid(root: Path) -> Path:
    for split in ("train", "val", "test"):
        for folder in (split, f"{split}annot"):
            (root / "CamVid" / folder).mkdir(parents=True)
            for stem in ("0001TP_006690", "0016E5_00390", "Seq05VD_f00000"):
                Image.new("L", (8, 8)).save(root / "CamVid" / folder / f"{stem}.png")
    return root / "CamVid" / "train" / "0001TP_006690.png"


SETS = {"imagenet-c-live": imagenet, "pacs@sketch": domains, "cityscapes-acdc": streets}


def read_all(name: str, root: Path) -> None:
    """Decode every image that the suite trains on or scores."""
    suite = load(name.partition("@")[0])
    suite = suite.member("sketch", 0) if suite.member else suite
    for build in (suite.train, *(shift.build for shift in suite.shifts[:2]), suite.shifts[-1].build):
        data = build(root)
        for index in torch.arange(len(data)).split(1):
            data.fetch(index)


def verified(name: str, root: Path) -> list[str]:
    suite = load(name.partition("@")[0])
    return [f"{finding.what}; {finding.fix}" for finding in suite.verify(root) if finding.is_fatal]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def save(path: Path, image: Image.Image, form: str, **options: object) -> None:
    path.unlink()
    image.save(path, form, **options)


def of_16_bits(path: Path) -> None:
    save(path, Image.fromarray(pixels(path)[:, :, 0].astype(np.uint16) * 257), "PNG")


def of_floats(path: Path) -> None:
    save(path, Image.fromarray(pixels(path)[:, :, 0].astype(np.float32)), "TIFF")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


REFUSED = {
    "16 bits": of_16_bits,
    "floats": of_floats,
    "cut off": cut_off,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("404 Not Found"),
    "a pipe": replaced(os.mkfifo),
    "a link to nothing": replaced(lambda path: path.symlink_to("nowhere")),
    "a link to itself": replaced(lambda path: path.symlink_to(path.name)),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", REFUSED)
@pytest.mark.parametrize("name", SETS)
def test_what_cannot_be_read_is_named_by_both(name: str, fault: str, tmp_path: Path) -> None:
    path = SETS[name](tmp_path)
    REFUSED[fault](path)
    found = verified(name, tmp_path)
    assert len(found) == 1
    assert path.name in found[0]
    with pytest.raises(DataError, match=path.name):
        read_all(name, tmp_path)


def with_mode(mode: str, form: str) -> Callable[[Path], None]:
    return lambda path: save(path, Image.fromarray(pixels(path)).convert(mode), form)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown after a quarter turn
    save(path, Image.fromarray(pixels(path)), "JPEG", exif=exif, quality=95)


def moving(path: Path) -> None:
    first = Image.fromarray(pixels(path))
    second = Image.new("RGB", first.size, (90, 90, 90))
    save(path, first, "WEBP", save_all=True, append_images=[second], lossless=True)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(40))


READ = {
    "palette": with_mode("P", "PNG"),
    "transparent": with_mode("RGBA", "PNG"),
    "gray and transparent": with_mode("LA", "PNG"),
    "gray": with_mode("L", "JPEG"),
    "ink": with_mode("CMYK", "JPEG"),
    "one bit": with_mode("1", "PNG"),
    "turned": turned,
    "moving": moving,
    "bytes at the end": longer,
}


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("name", SETS)
def test_what_pillow_reads_as_rgb_is_read(name: str, kind: str, tmp_path: Path) -> None:
    READ[kind](SETS[name](tmp_path))
    assert verified(name, tmp_path) == []
    read_all(name, tmp_path)


@pytest.mark.parametrize("change", [turned, moving])
def test_images_are_not_turned_and_of_moving_ones_the_first_is_taken(change, tmp_path: Path) -> None:
    """As the loaders do that benchmarks were published with."""
    path = imagenet(tmp_path)
    rgb = np.zeros((120, 150, 3), np.uint8)
    rgb[:60] = 200  # light above, dark below
    save(path, Image.fromarray(rgb), "PNG")
    change(path)
    data = load("imagenet-c-live").shifts[0].build(tmp_path)
    shown = data.fetch(torch.tensor([data.ids.tolist().index(1)]))[0].float()
    assert shown[:, 10].mean() > 190
    assert shown[:, -10].mean() < 10


def litter(folder: Path, like: Path) -> None:
    """What systems and users leave beside images."""
    for name in (f"._{like.name}", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    shutil.copytree(folder, folder / "__MACOSX")
    (folder / f"folder{like.suffix}").mkdir()


@pytest.mark.parametrize("name", SETS)
def test_litter_is_left_out(name: str, tmp_path: Path) -> None:
    path = SETS[name](tmp_path)
    before = load(name.partition("@")[0]).verify(tmp_path)
    other = tmp_path / "littered"
    litter(SETS[name](other).parent, path)
    after = load(name.partition("@")[0]).verify(other)
    assert [finding.what.replace(str(other), str(tmp_path)) for finding in after] == [
        finding.what for finding in before
    ]
    read_all(name, other)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
@pytest.mark.parametrize("name", SETS)
def test_names_that_are_not_utf_8_are_read(name: str, tmp_path: Path) -> None:
    path = SETS[name](tmp_path)
    odd = os.fsdecode(b"caf\xe9_000001_000019" + os.fsencode(path.name[-len("_leftImg8bit.png") :]))
    shutil.copy(path, path.with_name(odd))
    if name == "cityscapes-acdc":
        masks = Path(str(path.parent).replace("leftImg8bit", "gtFine"))
        label = path.name.replace("leftImg8bit", "gtFine_labelTrainIds")
        shutil.copy(masks / label, masks / odd.replace("leftImg8bit", "gtFine_labelTrainIds"))
    assert verified(name, tmp_path) == []
    read_all(name, tmp_path)


@pytest.mark.parametrize("name", [*SETS, "cifar10-c-live", "cifar10-c", "camvid-dusk"])
@pytest.mark.parametrize("of", ["file", "folder", "set", "root"])
def test_what_may_not_be_read_is_named(
    name: str, of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verifying names it, and nothing that a plan asks of a suite raises another error than DataError."""
    root = tmp_path / "data"
    root.mkdir()
    path = {**SETS, "cifar10-c-live": cifar, "cifar10-c": cifar_c, "camvid-dusk": camvid}[name](root)
    top = root / path.relative_to(root).parts[0]
    closed = {"file": path, "folder": path.parent, "set": top, "root": root}[of]
    forbid(closed, monkeypatch)
    family = name.partition("@")[0]
    assert any(closed.name in finding.what for finding in stops(family, root))
    suite = load(family)
    for ask in (suite.untrainable_reason, suite.on_disk, *(shift.build for shift in suite.scored)):
        with suppress(DataError):
            ask(root)
