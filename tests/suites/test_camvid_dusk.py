"""CamVid by drives: by day, and at dusk."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flatqat.data.streets import camvid
from tests.helpers import street_files
from tests.helpers.loading import load, stops


def test_camvid_is_cut_by_drives(shared: Path) -> None:
    suite = load("camvid-dusk")
    assert not stops("camvid-dusk", shared / "data")
    parts = {part: camvid.list_part(shared / "data", part).names for part in camvid.SEQUENCES}
    assert {part: {name.split("_")[0] for name in names} for part, names in parts.items()} == {
        part: {sequence} for part, sequence in camvid.SEQUENCES.items()
    }
    assert [len(parts[part]) for part in ("train", "val", "id")] == [204, 101, 171]
    assert len(parts["dusk"]) in (62, 124)
    images, masks = suite.shifts[1].build(shared / "data").batch(torch.arange(2))
    assert images.shape == (2, 3, 360, 480)
    with Image.open(shared / f"data/camvid/trainannot/{parts['dusk'][0]}.png") as image:
        stored = torch.from_numpy(np.array(image)).long()
    assert torch.equal(masks[0], torch.where(stored == 11, 255, stored))


def test_dusk_is_darker_than_day(shared: Path) -> None:
    day, dusk = (
        shift.build(shared / "data").sample(12).batch(torch.arange(12))[0].mean()
        for shift in load("camvid-dusk").shifts
    )
    assert dusk < day


def test_a_copy_of_camvid(tmp_path: Path) -> None:
    """In the layout of SegNet's: drives spread over its folders, seconds of full rate left out, void 11."""
    home = tmp_path / "CamVid"
    files = {
        "train": ["0016E5_07959", "0016E5_08159", "0016E5_00390", "0006R0_f00930", "0001TP_006690"],
        "val": ["0016E5_07961", "0016E5_08160"],
        "test": ["Seq05VD_f00000", "Seq05VD_f00030", "0001TP_008550"],
    }
    for at, (split, names) in enumerate(files.items()):
        (home / split).mkdir(parents=True)
        (home / f"{split}annot").mkdir()
        for name in names:
            image, labels = street_files.drawn(at)
            values = np.asarray(labels)
            image.save(home / split / f"{name}.png")
            stored = np.where(values == 255, 11, values % 11).astype(np.uint8)
            Image.fromarray(stored).save(home / f"{split}annot" / f"{name}.png")
    parts = {part: camvid.list_part(tmp_path, part).names for part in camvid.SEQUENCES}
    assert parts == {
        "train": ("0016E5_00390", "0016E5_08160"),
        "val": ("0006R0_f00930",),
        "id": ("Seq05VD_f00000", "Seq05VD_f00030"),
        "dusk": ("0001TP_006690", "0001TP_008550"),
    }
    assert not stops("camvid-dusk", tmp_path)
    suite = load("camvid-dusk")
    _, masks = suite.shifts[0].build(tmp_path).batch(torch.arange(1))
    values = torch.from_numpy(np.array(street_files.drawn(2)[1])).long()
    assert torch.equal(masks[0], torch.where(values == 255, 255, values % 11))
    assert suite.fixed_transform is not None
    assert (
        int(suite.train(tmp_path).transformed(suite.fixed_transform).fetch(torch.arange(2))[:, 3].max())
        == 255
    )


def test_camvid_with_colors_as_labels_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "camvid"
    for split, sequence in (("train", "0016E5"), ("val", "0006R0"), ("test", "Seq05VD"), ("test", "0001TP")):
        for folder in (home / split, home / f"{split}annot"):
            folder.mkdir(parents=True, exist_ok=True)
            street_files.drawn(0)[0].save(folder / f"{sequence}_00030.png")
    found = stops("camvid-dusk", tmp_path)
    assert len(found) == 4
    assert all("got colors" in finding.what for finding in found)
