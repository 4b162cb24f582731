"""The whole benchmark on a vision transformer from a user's file."""

import importlib.util

import pytest

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.console.progress import Progress
from tests.helpers.running import run_plan

pytestmark = pytest.mark.filterwarnings("ignore")  # timm warns of itself at import
NETS = """
import timm

def vit(classes):
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", num_classes=classes, **sizes)
"""


class Heard(Progress):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
def test_a_transformer_runs_from_a_file(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    request = Request(
        suites=("toy",),
        methods=("fp", "qat"),
        bits=("4", "w4"),
        seeds=(0,),
        models=(f"file:{tmp_path / 'nets.py'}:vit",),
        results=tmp_path / "results",
    )
    heard = Heard()
    records = {record.cell.quant: record for record in run_plan(make_plan(request), heard)}
    assert sorted(records) == ["4", "fp", "w4a32"]
    left = "left in floating point: cls_token parameter, pos_embed parameter"
    told = [line for line in heard.lines if line.endswith(left)]
    assert len(told) == 2  # at both widths; the inputs that w4 leaves alone are not told
    for record in records.values():
        assert record.flatness.quantized.lambda_max.value > 0
    assert records["4"].train.audit["quantized"] == 12  # weight and input of six layers
    assert records["w4a32"].train.audit["quantized"] == 6
