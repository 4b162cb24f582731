"""The rows of a training batch that one of several processes decodes."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from flatqat.bench.cell.batches import batch_length, training_batches
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.data.images.crop import crop
from flatqat.spec import EvalTransform
from flatqat.suites import _domains
from flatqat.suites.streets import SUITE as STREETS
from tests.helpers.running import CPU

AUGMENTATIONS = {
    "crops": partial(crop, padding=2, flip=True),
    "jitter": STREETS.augment,
    "domains": _domains._augment,
    "none": None,
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("workers", [0, 2])
def test_rows_are_those_of_the_whole_batch(tmp_path, name, workers):
    asked = Request(suites=("toy",), methods=("qat",), seeds=(0,), results=tmp_path)
    job = make_plan(asked).jobs[-1]
    job = replace(job, suite=replace(job.suite, augment=AUGMENTATIONS[name]))
    data = job.suite.train(None)
    size = batch_length(data, job.recipe.batch_size)
    make = partial(training_batches, job, data, 10, CPU, eval_transform=EvalTransform(), workers=workers)
    for rows in (slice(0, 5), slice(5, size)):
        for (x, y), (part, labels) in zip(make(), make(rows=rows), strict=True):
            assert len(x) == size
            assert torch.equal(part, x[rows])
            assert torch.equal(labels, y[rows])
