"""Results that were changed after they were made are found, file by file."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from flatqat.bench.records.record_json import read_record
from flatqat.bench.records.sound import Examined
from flatqat.bench.records.store import Store
from flatqat.bench.records.weights import digest_of_stored
from flatqat.errors import StoreError
from flatqat.metrics.classification import ClassificationMeter
from flatqat.metrics.segmentation import SegmentationMeter
from flatqat.spec import Cell, QuantSpec, Record, Score
from tests.helpers import RESULTS
from tests.helpers.records import environment, protocol, shift_info, train_log
from tests.helpers.street_records import FP

FOLDER = RESULTS / "first-look"
NAME = "tiny-qat-4-s0-ccf4c7836871"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two records of a committed folder."""
    new = tmp_path / "results"
    (new / "records" / "digits-c").mkdir(parents=True)
    shutil.copytree(FOLDER / "data", new / "data")
    for path in (FOLDER / "records" / "digits-c").glob("tiny-qat-4-s[01]-*"):
        shutil.copy(path, new / "records" / "digits-c")
    return new


def path_of(folder: Path, end: str = ".json") -> Path:
    return folder / "records" / "digits-c" / f"{NAME}{end}"


def edit(folder: Path, *keys: str, value: object) -> None:
    data = json.loads(path_of(folder).read_text())
    at = data
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    path_of(folder).write_text(json.dumps(data))


def problems(folder: Path) -> list[str]:
    examined = Examined(Store(folder))
    assert len(examined.records) == 2 - bool(examined.problems)
    return [line.removeprefix(f"{folder}/") for line in examined.problems]


@pytest.mark.parametrize("name", ["first-look", "first-study", "study-2"])
def test_committed_results_are_right(name):
    examined = Examined(Store(RESULTS / name))
    records = examined.records
    assert examined.problems == []
    assert len(records) == len([*(RESULTS / name).glob("records/*/*.json")])
    assert examined.scores == sum(len(record.scores) for record in records)


def test_a_score_that_was_changed(folder):
    value = read_record(path_of(folder)).scores["id"]["top1"].value
    edit(folder, "scores", "id", "top1", "value", value=value + 1e-9)
    (line,) = problems(folder)
    where = f"records/digits-c/{NAME}.json: scores.id.top1.value"
    assert line == f"{where}: expected {value}, from its outcomes, got {value + 1e-9}"


@pytest.mark.parametrize(("part", "got"), [("n", 301), ("stderr", 0.5), ("stderr", None), ("value", None)])
def test_any_part_of_a_score_that_was_changed(folder, part, got):
    edit(folder, "scores", "id", "top1", part, value=got)
    (line,) = problems(folder)
    assert f"scores.id.top1.{part}: expected " in line
    assert line.endswith(f", from its outcomes, got {got}")


def test_an_outcome_that_was_changed(folder):
    file = path_of(folder, ".npz")
    arrays = dict(np.load(file))
    kept = hashlib.sha256(file.read_bytes()).hexdigest()
    margins = arrays["0/margin"].copy()
    margins[0, 0] *= -1
    np.savez(file, **{**arrays, "0/margin": margins})
    of_hash, of_score = problems(folder)
    got = hashlib.sha256(file.read_bytes()).hexdigest()
    assert of_hash.endswith(f"{NAME}.npz: expected the SHA-256 of its record, {kept}, got {got}")
    shift = str(arrays["0/shifts"][0])
    assert f"{NAME}.json: scores.{shift}.top1.value: expected " in of_score
    assert of_score.endswith("; and 1 more")
    edit(folder, "outcomes_sha256", value=got)
    assert problems(folder) == [of_score]


def test_outcomes_of_another_cell(folder):
    (other,) = (folder / "records" / "digits-c").glob("tiny-qat-4-s1-*.npz")
    shutil.copy(other, path_of(folder, ".npz"))
    of_hash, of_scores = problems(folder)
    assert "expected the SHA-256" in of_hash
    assert "; and " in of_scores


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: edit(f, "outcomes_sha256", value="0" * 64),
            f"the SHA-256 of its record, {'0' * 64}, got ",
        ),
        (
            lambda f: edit(f, "cell", "seed", value=7),
            "cell: expected the cell that the file is named after, got",
        ),
        (
            lambda f: edit(f, "protocol", "quant", "weight_bits", value=3),
            "protocol.quant: expected 4, as in its",
        ),
        (
            lambda f: edit(f, "protocol", "data", value="abcd"),
            "protocol.data: expected 97c1cbc2, the images of",
        ),
        (lambda f: edit(f, "env", "threads", value="1"), 'env.threads: expected a whole number, got "1"'),
        (lambda f: edit(f, "schema", value=99), "schema: expected 2 or older, got 99"),
        (
            lambda f: path_of(f).write_bytes(path_of(f).read_bytes()[:3000]),
            "expected JSON, got a damaged file",
        ),
        (lambda f: path_of(f).unlink(), ".npz: expected a record beside it, got none of its name"),
        (lambda f: path_of(f, ".npz").unlink(), ".npz: expected the outcomes of its record, got none"),
    ],
)
def test_a_damage_is_one_line_that_names_the_file(folder, damage, message):
    damage(folder)
    (line,) = problems(folder)
    assert line.startswith(f"records/digits-c/{NAME}.")
    assert message in line
    assert "\n" not in line


def test_a_damaged_file_of_outcomes(folder):
    data = path_of(folder, ".npz").read_bytes()
    path_of(folder, ".npz").write_bytes(data[: len(data) // 2])
    of_hash, of_arrays = problems(folder)
    assert "expected the SHA-256 of its record" in of_hash
    assert "expected stored arrays, got a damaged file" in of_arrays


def rewritten(folder: Path, change) -> str:
    """What is wrong, besides the hash, once `change` has edited the arrays of outcomes."""
    arrays = dict(np.load(path_of(folder, ".npz")))
    change(arrays)
    np.savez(path_of(folder, ".npz"), **arrays)
    of_hash, other = problems(folder)
    assert "expected the SHA-256 of its record" in of_hash
    return other


def test_outcomes_without_a_set_of_the_record(folder):
    def change(arrays):
        arrays["0/shifts"] = np.where(arrays["0/shifts"] == "val", "other", arrays["0/shifts"])

    line = rewritten(folder, change)
    assert line.endswith(".json: scores.other: expected scores and outcomes, got outcomes alone")


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("margin", lambda a: a[:, :0]),
        ("margin", lambda a: a.astype("U8")),
        ("margin", lambda a: np.zeros((len(a), a.shape[1], 2, 2))),
        ("margin", lambda a: a[:, :-1]),
        ("shifts", lambda a: np.arange(len(a))),
        ("shifts", lambda a: a[:0]),
    ],
)
def test_arrays_that_are_no_outcomes(folder, name, array):
    line = rewritten(folder, lambda arrays: arrays.update({f"0/{name}": array(arrays[f"0/{name}"])}))
    ways = r"the outcomes of its record|scores and outcomes|[\d.]+, from its outcomes"
    assert re.search(f"expected ({ways})", line)


def test_no_fingerprint_is_one_line_for_all_records(folder):
    (folder / "data" / "digits-c.json").unlink()
    (line,) = Examined(Store(folder)).problems
    assert line == f"{folder}/data/digits-c.json: expected the fingerprint of its records, 97c1cbc2, got none"


def test_weights_are_those_that_their_record_has_the_digest_of(folder):
    store, cell = Store(folder), read_record(path_of(folder)).cell
    path = store.weights_path(cell)
    path.parent.mkdir()
    path.write_bytes(save({"w": torch.arange(3.0)}, metadata={"file": path.name}))
    digest = digest_of_stored(path).hex()
    assert problems(folder) == []  # an older record has none
    edit(folder, "train", "weights", value=digest)
    assert problems(folder) == []
    path.write_bytes(save({"w": torch.arange(3.0) + 1e-6}, metadata={"file": path.name}))
    (line,) = problems(folder)
    assert line.startswith(f"weights/{path.name}: expected the SHA-256 of its record, {digest}, got ")


def test_a_copy_and_weights_of_another_file(folder):
    shutil.copy(path_of(folder), path_of(folder, " copy.json"))
    cell = read_record(path_of(folder)).cell
    weights = Store(folder).weights_path(cell)
    weights.parent.mkdir()
    weights.write_bytes(b"no weights")
    lines = Examined(Store(folder)).problems
    assert [line.partition(": ")[0] for line in lines] == [str(path_of(folder, " copy.json")), str(weights)]


def test_every_score_of_pixels_follows_from_its_confusions(tmp_path):
    meter, rng = SegmentationMeter(3), torch.Generator().manual_seed(0)
    meter.add(torch.randn(6, 3, 8, 8, generator=rng), torch.randint(3, (6, 8, 8), generator=rng))
    scores, outcomes = meter.result()
    record = Record(
        cell=replace(FP, parent=None),
        status="done",
        scores={"id": scores},
        protocol=protocol({"id": shift_info("id")}, metric="miou", quant=QuantSpec()),
        env=environment(),
        train=train_log(),
    )
    store = Store(tmp_path)
    arrays = {"id:confusion": outcomes.confusion, "id:unpredicted": outcomes.unpredicted}
    store.write_record(record, arrays)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets.json").write_text('{"fingerprint": "d"}')
    examined = Examined(store)
    assert (examined.problems, examined.scores) == ([], 2 + 3)
    changed = {**scores, "iou/1": replace(scores["iou/1"], stderr=0.5)}
    store.write_record(replace(record, scores={"id": changed}), arrays)
    (line,) = Examined(store).problems
    assert "scores.id.iou/1.stderr: expected " in line


def test_a_calibration_error_follows_from_stored_confidences(tmp_path):
    meter, rng = ClassificationMeter(4), torch.Generator().manual_seed(0)
    meter.add(torch.randn(50, 4, generator=rng), torch.randint(4, (50,), generator=rng))
    scores, outcomes = meter.result()
    record = Record(
        cell=FP,
        status="done",
        scores={"id": scores},
        protocol=protocol({"id": shift_info("id")}, quant=QuantSpec()),
        env=environment(),
        train=train_log(),
    )
    store = Store(tmp_path)
    arrays = {f"id:{name}": getattr(outcomes, name) for name in ("pred", "margin", "confidence")}
    store.write_record(record, arrays)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets.json").write_text('{"fingerprint": "d"}')
    examined = Examined(store)
    assert (examined.problems, examined.scores) == ([], 2)
    changed = {**scores, "ece": replace(scores["ece"], value=scores["ece"].value - 1)}
    store.write_record(replace(record, scores={"id": changed}), arrays)
    (line,) = Examined(store).problems
    assert "scores.id.ece.value: expected " in line


def test_an_auroc_follows_from_stored_confidences(tmp_path):
    """Here confidence tells three of four pairs of images apart, and nobody stores an AUROC of ID itself."""
    arrays = {"id:margin": np.array([1.0, 1.0]), "fog/1:margin": np.array([1.0, 1.0])}
    arrays |= {"id:confidence": np.array([0.9, 0.6]), "fog/1:confidence": np.array([0.7, 0.5])}
    arrays |= {"id:pred": np.array([0, 1]), "fog/1:pred": np.array([0, 1])}
    (meter := ClassificationMeter(2)).add(torch.eye(2), torch.arange(2))
    scores = dict.fromkeys(("id", "fog/1"), meter.result()[0])
    store = Store(tmp_path)
    shifts = {"id": shift_info("id"), "fog/1": shift_info("fog")}
    record = Record(
        cell=FP,
        status="done",
        scores=scores | {"fog/1": scores["fog/1"] | {"auroc": Score(value=75.0, n=2)}},
        protocol=protocol(shifts, quant=QuantSpec()),
        env=environment(),
        train=train_log(),
    )

    def wrong(record: Record) -> list[str]:
        store.write_record(record, arrays)
        return [line for line in Examined(store).problems if ".auroc." in line]

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets.json").write_text('{"fingerprint": "d"}')
    assert wrong(record) == []
    invented = {"fog/1": scores["fog/1"] | {"auroc": Score(value=99.9, n=2)}}
    (line,) = wrong(replace(record, scores=dict(record.scores) | invented))
    assert "scores.fog/1.auroc.value: expected 75.0, from its outcomes, got 99.9" in line


def test_a_failed_cell_is_no_problem(tmp_path):
    cell = Cell(suite="s", suite_version=1, model="m", method="qat", quant="4", recipe="b", seed=0)
    store = Store(tmp_path)
    store.write_record(Record(cell=cell, status="failed", reason="the loss is nan"))
    examined = Examined(store)
    assert (len(examined.records), examined.problems, examined.scores) == (1, [], 0)


def test_a_folder_without_records(tmp_path):
    with pytest.raises(StoreError, match="expected a folder, found none"):
        Examined(Store(tmp_path))
    (tmp_path / "records").mkdir()
    with pytest.raises(StoreError, match=r"expected records in .*, got none"):
        Examined(Store(tmp_path))
