"""The sweep of anchor's settings: scores on `val`, and on nothing else."""

from flatqat.bench.plan.request import Request
from scripts.anchor_defaults import measured
from tests.helpers import TOY

STEPS = {"pretrain_steps": "2", "steps": "2"}


def test_a_job_is_scored_on_val_alone(tmp_path):
    request = Request(
        suites=("toy",),
        methods=("anchor",),
        seeds=(0,),
        settings={"anchor": {"strength": "0.5"}, "recipe": STEPS},
        device="cpu",
        results=tmp_path,
        plugins=(TOY,),
    )
    (row,) = measured(request)
    assert {key: row[key] for key in ("method", "bits", "seed", "strength")} == {
        "method": "anchor",
        "bits": "4",
        "seed": 0,
        "strength": "0.5",
    }
    assert 0 <= row["top1"] <= 100
    assert row["nll"] > 0
    stored = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert any(name.startswith("val") for name in stored), stored
    assert not any(name.startswith(("id", "noise")) for name in stored), stored
