"""Segmentation cells: agreement by labeled pixel, on whole images and through a sliding window."""

import pytest

from flatqat import registry
from flatqat.metrics.metric import METRICS
from tests.helpers import HELPERS
from tests.helpers.slow import slow
from tests.helpers.verified_cells import exported, trained, verified, with_other_scale

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
UNLABELED = 2 * 24  # pixels of an image without a label
PIXELS = 24 * 32 - UNLABELED


@pytest.mark.parametrize("window", ["16:8", *slow(None)])
def test_pixels_agree_and_a_fault_is_found(tmp_path, window):
    registry.add_plugin(HELPERS / "toy_map.py")
    recipe = {"recipe": {"pretrain_steps": "40", "steps": "4"}}
    store = trained(
        tmp_path, suites=("toy-map",), methods=("qat",), bits=("4",), window=window, settings=recipe
    )
    file = exported(store, "tiny-seg-qat", tmp_path / "seg.onnx")
    record = verified(store, "tiny-seg-qat", file, latency=True)
    found = record.deployed
    assert found.moved == 0
    for run in (found.plain, found.optimized):
        assert (run.all.agreement, run.all.predictions) == (100, 2 * 16 * PIXELS)
        assert run.shifts["dark"].file == record.scores["dark"][METRICS["miou"].name].value
        assert run.codes.differing <= run.codes.codes / 1000
    assert found.latency.shape == ((1, 3, 24, 32) if window is None else (1, 3, 16, 16))
    layers = [name for name, _ in _inputs(file)]
    faulty = verified(store, "tiny-seg-qat", with_other_scale(file, layers[1], 4.0)).deployed.plain
    assert faulty.all.agreement < 100
    assert faulty.codes.first == layers[1]
    assert faulty.all.low < faulty.all.change < faulty.all.high


def _inputs(file):
    import onnx

    nodes = onnx.load(file).graph.node
    return [(n.name.partition(".input.")[0], n) for n in nodes if n.op_type == "QuantizeLinear"]
