"""An exported file beside its cell, from training to the record, and files with a fault."""

import errno
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from flatqat.bench.deploy import verify
from flatqat.bench.deploy.codes import CodeComparison
from flatqat.bench.deploy.runtime import load
from flatqat.bench.deploy.verify import VerifyOptions
from flatqat.bench.records.store import Store
from flatqat.bench.records.weights import digest_of_stored
from flatqat.commands.verified import latency_lines
from flatqat.errors import DataError, StoreError, UsageError
from tests.helpers.study_records import CELL
from tests.helpers.verified_cells import (
    BITS,
    changed,
    exported,
    trained,
    verified,
    with_other_code,
    with_other_scale,
)

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
TEST = 96  # images of each set of the toy suite


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return trained(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def files(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {bits: exported(store, f"tiny-qat-{bits}", folder / f"{bits}.onnx") for bits in BITS}


@pytest.mark.parametrize("bits", BITS)
def test_the_file_predicts_what_the_cell_predicts(store, files, bits):
    record = verified(store, f"tiny-qat-{bits}", files[bits])
    found = record.deployed
    assert set(found.plain.shifts) == {"id", "noise/1", "noise/2"}
    for run in (found.plain, found.optimized):
        assert run.all.agreement == 100
        assert run.all.predictions == 3 * TEST
        assert run.all.relative < 0.05
        for shift, one in run.shifts.items():
            assert one.file == one.cell == record.scores[shift]["top1"].value
            assert (one.low, one.high) == (0, 0)
    assert found.plain.codes.layers == 5
    assert found.plain.codes.images == 2 * 3
    assert found.plain.codes.differing <= found.plain.codes.codes / 1000
    assert found.moved == 0
    assert found.limit is None
    assert found.control.all.agreement == 100
    assert found.control.codes.codes == found.plain.codes.codes


def test_the_record_keeps_it_beside_its_scores(store, files):
    before = store.find("tiny-qat-4")
    deployed = verified(store, "tiny-qat-4", files["4"], latency=True).deployed
    after = store.find("tiny-qat-4")
    assert after.deployed == deployed
    assert replace(after, deployed=None) == replace(before, deployed=None)
    assert store.finished(after.cell) == after
    assert deployed.bytes == files["4"].stat().st_size
    assert deployed.packages["onnxruntime"]
    assert 0 < deployed.latency.low <= deployed.latency.median <= deployed.latency.high
    assert deployed.latency.shape == (1, 3, 16, 16)
    assert verified(store, "tiny-qat-4", files["4"], code_images=0).deployed.plain.codes is None


def test_a_file_of_two_images_at_a_time_gets_two(store, files):
    def fix(model):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2

    found = verified(store, "tiny-qat-8", changed(files["8"], fix), latency=True, limit=3)
    assert found.deployed.latency.shape == (2, 3, 16, 16)
    assert latency_lines(found.deployed.latency)[0].startswith("latency of 2x3x16x16 (per image), median")


def test_a_file_of_8_bits_converts_to_opset_19_as_the_page_says(files):
    import onnx
    import onnxruntime
    from onnx import version_converter

    older = version_converter.convert_version(onnx.load(files["8"]), 19)
    images = {"images": np.random.default_rng(0).random((4, 3, 16, 16), dtype=np.float32)}
    logits = [
        onnxruntime.InferenceSession(file).run(None, images)[0]
        for file in (files["8"].read_bytes(), older.SerializeToString())
    ]
    np.testing.assert_array_equal(*logits)
    with pytest.raises(RuntimeError):
        version_converter.convert_version(onnx.load(files["4"]), 20)


def test_another_step_size_is_found(store, files):
    """Codes before that layer are the cell's; behind it they are not."""
    faulty = with_other_scale(files["4"], "stage2.0", 3.0)
    found = verified(store, "tiny-qat-4", faulty).deployed.plain
    assert found.codes.differing > found.codes.codes / 100
    assert found.codes.first == "stage2.0"
    assert found.all.agreement < 100
    assert found.all.largest > 0.1
    control = store.find("tiny-qat-4").deployed.control
    assert found.codes.differing > 100 * max(control.codes.differing, 1)


def test_one_other_code_of_a_weight_is_found(store, files):
    right = verified(store, "tiny-qat-4", files["4"]).deployed.plain
    found = verified(store, "tiny-qat-4", with_other_code(files["4"], "conv1")).deployed.plain
    assert found.codes.differing > 10 * max(right.codes.differing, 1)
    assert found.codes.first == "stage1.0"  # the input of conv1 itself is the cell's
    assert found.all.largest > right.all.largest


def test_fewer_images_are_a_sample_of_those_of_the_cell(store, files):
    found = verified(store, "tiny-qat-4", files["4"], limit=10).deployed
    assert (found.limit, found.moved) == (10, 0)
    assert found.plain.all.predictions == 30
    assert {one.images for one in found.plain.shifts.values()} == {10}
    assert verified(store, "tiny-qat-4", files["4"], limit=10**4).deployed.limit is None


def test_more_images_than_those_of_the_cell_are_refused():
    options, cell = VerifyOptions(file=Path("x"), limit=9), replace(CELL, limit=8)
    with pytest.raises(UsageError, match=r"--limit: expected at most 8, .* got 9"):
        verify._limit(options, cell)
    assert [verify._limit(replace(options, limit=n), cell) for n in (None, 8, 7)] == [8, 8, 7]
    assert verify._limit(options, CELL) == 9


def test_scores_that_are_not_those_of_the_record_are_counted(store, files):
    record = store.find("tiny-qat-4")
    scores = {shift: dict(metrics) for shift, metrics in record.scores.items()}
    scores["noise/1"]["nll"] = replace(scores["noise/1"]["nll"], value=9.0)
    store.write_record(replace(record, scores=scores))
    try:
        assert verified(store, "tiny-qat-4", files["4"]).deployed.moved == 1
    finally:
        store.write_record(record)


@pytest.mark.parametrize("fault", ["other cell", "other weights"])
def test_a_file_of_something_else_is_refused_and_nothing_is_written(store, files, fault, tmp_path):
    before = store.record_path(store.find("tiny-qat-3").cell).read_bytes()
    if fault == "other cell":
        ids = [store.find(f"tiny-qat-{bits}").cell.id for bits in "34"]
        said = f"expected the file of .*{ids[0]}.* got .*{ids[1]}"
        with pytest.raises(UsageError, match=rf"{said}.*; write it with: .* --output tiny-qat-3\S*\.onnx"):
            verified(store, "tiny-qat-3", files["4"])
    else:
        copy = trained(tmp_path, bits=("3",))
        weights = copy.weights_path(copy.find("tiny-qat-3").cell)
        again = trained(tmp_path / "again", bits=("3",), settings={"recipe": {"lr": "0.03"}})
        other = again.weights_path(again.find("tiny-qat-3").cell).read_bytes()
        weights.write_bytes(
            other.replace(again.find("tiny-qat-3").cell.training_id.encode(), weights.stem.encode())
        )
        record, digest = copy.find("tiny-qat-3"), digest_of_stored(weights).hex()
        with pytest.raises(StoreError, match=f"expected weights with the SHA-256 .*got {digest}"):
            verified(copy, "tiny-qat-3", files["3"])
        copy.write_record(replace(record, train=replace(record.train, weights=digest)))
        with pytest.raises(UsageError, match=r"expected the weights that .* has now, got older ones"):
            verified(copy, "tiny-qat-3", files["3"])
    assert store.record_path(store.find("tiny-qat-3").cell).read_bytes() == before


def test_a_cell_that_runs_again_meanwhile_is_left_alone(store, files, monkeypatch):
    record = store.find("tiny-qat-8")
    monkeypatch.setattr(
        verify, "_moved", lambda *_: store.write_record(replace(record, outcomes_sha256="0")) and 0
    )
    try:
        with pytest.raises(StoreError, match="verify it again"):
            verified(store, "tiny-qat-8", files["8"])
    finally:
        store.write_record(record)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(store, files, monkeypatch):
    monkeypatch.setattr(verify, "_Comparison", lambda *_: pytest.fail("computed"))
    refused = OSError(errno.EROFS, "Read-only file system")
    monkeypatch.setattr("tempfile.TemporaryFile", Mock(side_effect=refused))
    with pytest.raises(StoreError, match="expected a folder that can be written, got: Read-only file system"):
        verified(store, "tiny-qat-4", files["4"])


def adds_in_32_bits() -> bool:
    """Whether this CPU has VNNI; AVX2 alone adds two products of 8 bits in 16 bits, which saturate."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    return "avx2" not in flags or "vnni" in flags


@pytest.mark.parametrize(("bits", "kinds"), [("8", "u8"), ("4", "f32")])
def test_openvino_says_in_which_types_it_computes(store, files, bits, kinds):
    pytest.importorskip("openvino")
    found = verified(store, f"tiny-qat-{bits}", files[bits], runtime="openvino", limit=16).deployed
    assert found.plain.all.agreement == 100
    assert found.optimized.all.agreement >= (100 if adds_in_32_bits() else 90)
    assert f" in {kinds}" in found.note
    assert found.packages["openvino"]


@pytest.mark.parametrize("optimized", [False, True])
def test_openvino_is_asked_for_float32_on_every_cpu(files, optimized):
    pytest.importorskip("openvino")
    loaded = load("openvino", files["4"].read_bytes(), optimized=optimized, threads=1)
    assert "float32" in str(loaded._compiled.get_property("INFERENCE_PRECISION_HINT"))


def test_codes_of_fewer_images_are_refused():
    cell, file = ({"conv": [torch.zeros(images, 3, 2, 2)]} for images in (2, 0))
    with pytest.raises(UsageError, match=r"expected codes \(2, 3, 2, 2\) at conv, got \(0, 3, 2, 2\)"):
        CodeComparison().add(cell, file, 2)


def test_other_images_than_those_of_the_folder_are_refused(store, files, monkeypatch):
    """By what looks at stored cells again, as by a run: numbers of other images are no change of a file."""
    from flatqat.bench.sensitivity.opened import open_cell

    monkeypatch.setattr("flatqat.bench.cell.same_images.fingerprint_of", lambda suite, root: "12345678")
    problem = r"suite toy: expected the images that .* was made from .*, got others \(12345678\)"
    with pytest.raises(DataError, match=problem):
        verified(store, "tiny-qat-4", files["4"])
    with pytest.raises(DataError, match=problem):
        open_cell("tiny-qat-4", store.root, None, (), torch.device("cpu"))
