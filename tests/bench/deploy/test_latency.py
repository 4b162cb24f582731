"""Latency, with a clock that is known."""

import time

import pytest
import torch

from flatqat.bench.deploy.latency import WARM_UP, latency_of, quartiles

IMAGE = torch.zeros(1, 3, 8, 8)


def test_quartiles_leave_out_the_warm_up():
    calls = []
    seconds = [9.0] * WARM_UP + [0.001, 0.002, 0.003, 0.004, 0.005]
    now = 0.0

    def call(image):
        nonlocal now
        now += seconds[len(calls)]
        calls.append(image)
        return image

    assert quartiles(call, IMAGE, 5, clock=lambda: now) == pytest.approx((2.0, 3.0, 4.0))
    assert len(calls) == WARM_UP + 5


def test_images_that_run_together_share_the_time():
    now = 0.0

    def call(images):
        nonlocal now
        now += 0.004
        return images

    found = quartiles(call, IMAGE.repeat(2, 1, 1, 1), 5, clock=lambda: now)
    assert found == pytest.approx((2.0, 2.0, 2.0))


def test_the_file_and_the_floating_network_are_told_apart():
    def slow(image):
        time.sleep(0.003)
        return image

    found = latency_of(slow, lambda image: image, IMAGE, runs=5)
    assert (found.runs, found.shape) == (5, (1, 3, 8, 8))
    assert 3 <= found.low <= found.median <= found.high
    assert found.float_low <= found.float_median <= found.float_high
    assert found.float_median < found.median
