"""ImageNet's suites through the whole benchmark: with training images, and without them."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from flatqat import registry
from flatqat.bench.cell.same_images import fingerprint_of
from flatqat.bench.engine.preflight import _short
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.sections import protocol_line
from flatqat.data.imagenet import sixteen
from flatqat.data.imagenet.names import IMAGENET_C, IMAGENET_V2
from flatqat.data.images.encoded import decode_file
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors import image_files
from flatqat.data.tensors.image_data import ImageData
from flatqat.models.base import build
from flatqat.suite import Suite
from tests.helpers import imagenet_files as files
from tests.helpers.running import run_plan

# A network that asks for images of 48 pixels and refuses all of another size than its name says.
PICKY = """
import torch
from flatqat.models.base import ModelSource, Normalized
from flatqat.spec import EvalTransform

class Net(torch.nn.Module):
    def __init__(self, side, classes):
        super().__init__()
        self.side = side
        self.conv = torch.nn.Conv2d(3, 8, 3, stride=4)
        self.hidden = torch.nn.Linear(8, 8)
        self.head = torch.nn.Linear(8, classes)

    def forward(self, x):
        assert x.shape[2:] == (self.side, self.side), f"got {tuple(x.shape)}"
        return self.head(self.hidden(self.conv(x).relu().mean((2, 3))).relu())

def build(name, classes):
    return Normalized(Net(int(name), classes), (0.5,) * 3, (0.2,) * 3, EvalTransform(resize=56, crop=48))

MODEL = ModelSource(names=lambda: ["48", "224"], build=build)
"""
STEPS = {"recipe": {"pretrain_steps": "2", "steps": "2", "batch_size": "6", "bn_batches": "1",
                    "calibration_batches": "1", "flatness_images": "4", "flatness_draws": "2"}}  # fmt: skip


@pytest.fixture(autouse=True)
def picky(tmp_path: Path) -> None:
    file = tmp_path / "picky.py"
    file.write_text(PICKY)
    registry.add_plugin(file)


def request(root: Path, suite: str, side: int, **changes: object) -> Request:
    return replace(
        Request(
            suites=(suite,),
            methods=("fp", "ptq", "qat"),
            bits=("4",),
            seeds=(0,),
            models=(f"picky:{side}",),
            data_root=root / "data",
            results=root / "results",
            spaces=(),
        ),
        **changes,
    )


def go(wanted: Request) -> dict:
    records = run_plan(make_plan(wanted))
    return {record.cell.method: record for record in records}


def natural(root: Path) -> Path:
    files.val(root)
    files.natural(root / "imagenet-r", files.IN_R[:4])
    for variant in ("matched-frequency", "top-images"):
        files.natural(root / f"imagenetv2-{variant}-format-val", ("3", "20"))
    return root


def test_with_training_images_every_method_runs(tmp_path):
    """Cut as the model asks, in training, calibration and on every set."""
    files.train(natural(tmp_path / "data"))
    records = go(request(tmp_path, "imagenet-r", 48, settings=STEPS, spaces=("quantized",)))
    assert {method: record.status for method, record in records.items()} == dict.fromkeys(records, "done")
    assert set(records) == {"fp", "ptq", "qat"}
    record = records["qat"]
    assert record.cell.recipe == "default"
    assert record.train.steps == 2
    assert {shift: scores["top1"].n for shift, scores in record.scores.items()} == {
        "val": 3, "id": 3, "imagenet-r": 8, "id_1000": 12,
    }  # fmt: skip
    assert "short side 56" in record.protocol.preprocessing
    assert set(record.scores["imagenet-r"]) == {"top1", "nll", "brier", "ece", "auroc", "top1_unmasked"}
    assert record.flatness.quantized.images == 4


def test_without_training_images_nothing_is_trained(tmp_path):
    natural(tmp_path / "data")
    weights = tmp_path / "weights.pt"
    torch.save(build("picky:48", classes=1000, seed=0).net.state_dict(), weights)
    records = go(request(tmp_path, "imagenet-v2", 48, weights=weights))
    assert {method: record.status for method, record in records.items()} == {
        "fp": "done", "ptq": "done", "qat": "skipped",
    }  # fmt: skip
    assert records["ptq"].cell.recipe == "eval"
    assert records["ptq"].train.steps == 0
    assert records["qat"].reason.startswith("no training images: expected ")
    assert set(records["ptq"].scores) == {"val", "id", "matched-frequency", "top-images"}
    assert "no training images" in records["ptq"].protocol.in_part
    assert "; no training images; " in protocol_line([records["ptq"]])


@pytest.mark.parametrize("trainable", [True, False])
def test_groups_of_classes_are_scored_and_all_classes_trained(trainable, tmp_path):
    """The scores are those of mean probabilities, computed here once more from the network's outputs."""
    root = tmp_path / "data"
    files.natural(root / "imagenet" / "val", (65, 8, 404, 294, 999), each=1)
    for name in ("edges", "filled-silhouettes"):
        files.natural(root / "texture-vs-shape" / name, sixteen.NAMES, each=1)
    if trainable:
        files.train(root)
    net = build("picky:48", classes=1000, seed=0)
    torch.save(net.net.state_dict(), weights := tmp_path / "weights.pt")
    settings = STEPS if trainable else {}
    records = go(request(tmp_path, "shape-16", 48, weights=weights, settings=settings))
    assert {method: record.status for method, record in records.items()} == {
        "fp": "done", "ptq": "done", "qat": "done" if trainable else "skipped",
    }  # fmt: skip
    scores = records["ptq"].scores
    assert {name: one["top1"].n for name, one in scores.items()} == {
        "val": 3 if trainable else 5, "id": 3, "edges": 16, "silhouettes": 16,
    }  # fmt: skip
    shift = registry.load(registry.SUITES, "shape-16").shifts[1]
    data = shift.build(root).transformed(eval_crop(net.eval_transform))
    images, labels = data.batch(torch.arange(16))
    if not trainable:
        with torch.no_grad():
            p = net.predict(images).double().softmax(1)
        means = torch.stack([p[:, list(group)].mean(1) for group in sixteen.GROUPS], 1)
        found, of_true = records["fp"].scores["edges"], means.gather(1, labels[:, None])[:, 0] / means.sum(1)
        assert found["top1"].value == 100 * float((means.argmax(1) == labels).double().mean())
        assert found["nll"].value == pytest.approx(float(-of_true.log().mean()))


def test_corrupted_images_are_never_cut_as_a_model_asks(tmp_path):
    """In training and calibration 224 pixels too; a shift that is not on disk is left out."""
    two = {1: 65, 2: 970}
    root = files.train(files.val(tmp_path / "data"))
    files.corrupted(root / "imagenet-c", replace(IMAGENET_C, families={
        name: family for name, family in IMAGENET_C.families.items() if family != "extra"
    }), two)  # fmt: skip
    records = go(request(tmp_path, "imagenet-c", 224, settings=STEPS))
    assert {record.status for record in records.values()} == {"done"}
    scores = records["qat"].scores
    assert len(scores) == 2 + 75
    assert scores["id"]["top1"].n == scores["fog/3"]["top1"].n == 2
    assert "short side 256 (bilinear, antialiased), centre crop 224" in records["qat"].protocol.preprocessing
    assert records["qat"].protocol.normalizer == "alexnet"


def test_every_seed_shares_the_suite(tmp_path):
    """So that each shift is decoded once for all of them."""
    natural(tmp_path / "data")
    assert "threshold0.7" in IMAGENET_V2
    plan = make_plan(request(tmp_path, "imagenet-v2", 48, seeds=(0, 1)))
    assert len(plan.suites) == 1
    assert "threshold0.7" not in {shift.name for shift in plan.suites[0].shifts}


@pytest.mark.parametrize("trains", [False, True])
def test_a_run_with_live_corruptions_decodes_each_image_once(tmp_path, monkeypatch, trains):
    """For calibration, flatness, selection and 96 shifts, whichever threads ask for them."""
    root, weights, decoded = files.val(tmp_path / "data", {1: 65, 2: 970}), tmp_path / "weights.pt", []
    torch.save(build("picky:224", classes=1000, seed=0).net.state_dict(), weights)
    if trains:
        files.train(root)

    def decode(path, work):
        decoded.append(path)
        return decode_file(path, work)

    monkeypatch.setattr(image_files, "decode_file", decode)
    changes = {"settings": STEPS} if trains else {}
    wanted = request(
        tmp_path, "imagenet-c-live", 224, weights=weights, workers=2, spaces=("quantized",), **changes
    )
    done = [record for record in go(wanted).values() if record.status == "done"]
    assert [len(record.scores) for record in done] == [97] * (3 if trains else 2)
    scored = [path.name for path in decoded if "val" in path.parts]
    assert sorted(scored) == ["ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG"]


def test_sets_that_differ_in_transforms_alone_are_decoded_once(tmp_path, monkeypatch):
    """The fingerprint stays that of every set in turn, and of the pictures of ice."""
    suite: Suite = registry.load(registry.SUITES, "imagenet-c-live")
    root = files.val(tmp_path)
    sets = [suite.train(root), *(shift.build(root) for shift in suite.scored)]
    digests = [data.fingerprint() for data in sets] + [suite.made_with()]
    expected = sha256("".join(digests).encode()).hexdigest()[:8]
    decoded = []
    original = ImageData.fingerprint
    monkeypatch.setattr(ImageData, "fingerprint", lambda data: decoded.append(data) or original(data))
    assert fingerprint_of(suite, root) == expected
    assert len(decoded) < 5 < len(sets)


def test_records_hold_no_path_and_no_examples():
    told = [
        "ImageNet val: 24 of 50,000 images, 24 of 1000 classes (no n01443537, n01491361 ...)",
        "no training images: expected /data/imagenet/train/<wnid>/*.JPEG, got val/",
        "sketch: expected 3,929 images, got 140",
    ]
    assert [_short(text) for text in told] == [
        "ImageNet val: 24 of 50,000 images, 24 of 1000 classes",
        "no training images",
        "sketch: expected 3,929 images, got 140",
    ]
