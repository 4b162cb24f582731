"""What a sweep gives is what whole networks give one by one."""

import numpy as np
import pytest
import torch

from flatqat.bench.sensitivity.images import DrawnImages
from flatqat.bench.sensitivity.measure import LayerSweep, Measure
from flatqat.bench.sensitivity.options import spec_of
from flatqat.bench.sensitivity.shifts import reported
from flatqat.bench.sensitivity.switches import Form
from flatqat.console.progress import Progress
from tests.helpers.running import CPU
from tests.helpers.sensitivity_runs import opened

LIMIT = 40


@pytest.fixture(scope="module", params=["replayed", "whole"])
def measured(request, cells):
    """The opened cell, its sets, and for each mode the sweep with what each set gave."""
    one = opened(cells)
    one.observe()
    images = DrawnImages(
        suite=one.suite, root=None, view=one.switches.model.eval_transform, limit=LIMIT, seed=0
    )
    sets = images.reported(reported(one.suite, (), ("noise/*",)))
    measure = Measure(one.switches, one.suite.classes, device=CPU, workers=0)
    sweeps = [LayerSweep(mode=mode, form=Form(spec=spec_of("2", "lsq"))) for mode in ("one", "all-but-one")]
    units = list(one.switches.units)
    measure.prepare(sets[0])
    measure.replay.exact &= request.param == "replayed"
    with Progress().task("", 1) as advance:
        found = {s.name: measure.sweep(s, sweeps, units, advance) for s in sets}
    assert measure.replay.exact == (request.param == "replayed")
    return (
        one,
        sets,
        {sweep.mode: (sweep, {n: f[i] for n, f in found.items()}) for i, sweep in enumerate(sweeps)},
    )


def logits(one, forms, data) -> torch.Tensor:
    one.switches.switch(forms)
    with torch.no_grad():
        found = one.switches.model.predict(data.batch(torch.arange(len(data)))[0])
    one.switches.switch({})
    return found


@pytest.mark.parametrize("mode", ["one", "all-but-one"])
def test_a_sweep_is_whole_runs_of_each_network(measured, mode):
    one, sets, sweeps = measured
    sweep, found = sweeps[mode]
    units = list(one.switches.units)
    for s in sets:
        labels, reference = s.data.labels, logits(one, {}, s.data).double().log_softmax(1)
        for row, name in enumerate(found[s.name].networks):
            forms = dict(sweep.base(units))
            if name != "base":
                forms[name] = sweep.switched
            z = logits(one, forms, s.data)
            assert np.array_equal(found[s.name].outcome[row], (z.argmax(1) == labels).numpy())
            log_p = z.double().log_softmax(1)
            divergence = (reference.exp() * (reference - log_p)).sum(1)
            assert found[s.name].divergence[row] == pytest.approx(divergence.numpy(), abs=2e-6)
