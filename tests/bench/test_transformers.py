"""The whole benchmark on a vision transformer from a user's file."""

import pytest

from flatqat.bench.store import Store

NETS = """
import timm

def vit(classes):
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", num_classes=classes, **sizes)
"""


def test_a_transformer_runs_from_a_file(flatqat, tmp_path, pytestconfig):
    pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)
    (tmp_path / "nets.py").write_text(NETS)
    toy = pytestconfig.rootpath / "tests" / "bench" / "toy.py"
    options = (
        "--plugin",
        toy,
        "--suite",
        "toy",
        "--model",
        "file:nets.py:vit",
        "--bits",
        "4,w4",
        "--method",
        "fp,qat",
    )
    done = flatqat("bench", "run", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    left = "left in floating point: cls_token parameter, pos_embed parameter"
    assert done.stderr.count(left) == 2  # at both widths; the inputs that w4 leaves alone are not told
    records = {str(record.cell.quant): record for record in Store(tmp_path / "results").records()}
    assert sorted(records) == ["4", "fp", "w4a32"]
    for record in records.values():
        assert record.flatness["quantized"]["lambda_max"]["value"] > 0
    assert records["4"].train["audit"]["quantized"] == 12  # weight and input of six layers
    assert records["w4a32"].train["audit"]["quantized"] == 6
