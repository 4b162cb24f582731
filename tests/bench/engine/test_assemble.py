"""How well confidence tells shifted images from those of `id`: computed from the outcomes of the record."""

import numpy as np
import pytest

from flatqat.bench.engine.assemble import detection
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.metrics.detection import auroc
from flatqat.spec import Score
from tests.helpers.running import run_plan


def test_more_confidence_in_distribution_is_more_than_half():
    outcomes = {
        "id:confidence": np.array([0.9, 0.8]),
        "fog:confidence": np.array([0.1, 0.85, 0.2, 0.3]),
        "snow:confidence": np.array([0.95, np.nan]),
    }
    found = detection(outcomes, ["fog", "snow"])
    assert found == {"fog": Score(value=87.5, n=4), "snow": Score(value=None, n=2)}
    assert detection({"id:margin": np.ones(2), "fog:margin": np.ones(2)}, ["fog"]) == {}


def test_a_record_has_it_for_every_shift_and_for_no_other_set(tmp_path):
    fields = {"suites": ("toy",), "methods": ("fp",), "bits": (), "seeds": (0,), "spaces": ()}
    (record,) = run_plan(make_plan(Request(results=tmp_path, **fields)))
    outcomes = Store(tmp_path).outcomes(record.cell, ["confidence"])
    found = {shift: scores["auroc"].value for shift, scores in record.scores.items() if "auroc" in scores}
    assert found == {
        shift: pytest.approx(100 * auroc(outcomes["id:confidence"], outcomes[f"{shift}:confidence"]))
        for shift in ("noise/1", "noise/2")
    }
