"""Differences, intervals and the correlation over layers, from outcomes that are made up."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr, t

from flatqat.bench.sensitivity.differences import ID, OOD, agreement, columns, interval, table
from flatqat.bench.sensitivity.images import ImageSet
from flatqat.bench.sensitivity.readings import Measured
from flatqat.data.tensors.image_data import ImageData
from flatqat.metrics.rank import RankCorrelation

IMAGES, LAYERS = 60, 12
NAMES = {"id": "id", "fog/3": "weather", "snow/3": "weather", "noise/3": "noise"}


def sets() -> list[ImageSet]:
    zeros = torch.zeros(IMAGES, 3, 2, 2, dtype=torch.uint8)
    data = ImageData.in_memory(zeros, torch.zeros(IMAGES, dtype=torch.long), classes=1, source="none")
    return [ImageSet(name=n, family=f, image_set="id", data=data) for n, f in NAMES.items()]


def measured() -> dict[str, Measured]:
    """A base that is right on 90% or 70%, and layers that lose more and more."""
    rng = np.random.default_rng(0)
    found = {}
    for name in NAMES:
        base = rng.random((1, IMAGES)) < (0.9 if name == "id" else 0.7)
        kept = rng.random((LAYERS, IMAGES)) < np.linspace(1, 0.6, LAYERS)[:, None]
        right = np.concatenate([base, base & kept])
        networks = ("base", *(f"layer{i}" for i in range(LAYERS)))
        found[name] = Measured(networks=networks, outcome=right, divergence=np.zeros(right.shape))
    return found


def ood(right) -> np.ndarray:
    return np.mean([right[name] for name in NAMES if name != "id"], axis=0)


@pytest.mark.parametrize("sign", [1, -1])
def test_intervals_are_the_direct_ones(sign):
    found = measured()
    right = {name: one.outcome.astype(float) for name, one in found.items()}
    got = table("top1", sets(), found, sign=sign)
    assert got.networks == found["id"].networks[1:]
    expected = {
        ID: right["id"],
        OOD: ood(right),
        "weather": (right["fog/3"] + right["snow/3"]) / 2,
        "noise": right["noise/3"],
    }
    assert [*got.deltas] == [*columns(sets())] == [*expected]
    for on, values in expected.items():
        assert got.base[on].value == pytest.approx(100 * values[0].mean())
        for place in range(LAYERS):
            d = sign * 100 * (values[1 + place] - values[0])
            one = got.deltas[on][place]
            reach = t.ppf(0.975, IMAGES - 1) * d.std(ddof=1) / np.sqrt(IMAGES)
            assert one.value == pytest.approx(d.mean(), abs=1e-9)
            assert (one.high - one.value, one.value - one.low) == pytest.approx((reach, reach), abs=1e-9)


def test_the_base_may_be_any_network():
    found = measured()
    got = table("top1", sets(), found, base="layer3")
    assert got.networks[:4] == ("base", "layer0", "layer1", "layer2")
    rest = 100 * (found["id"].outcome[0].mean() - found["id"].outcome[4].mean())
    assert got.deltas[ID][0].value == pytest.approx(rest)


def test_the_correlation_over_layers():
    found = measured()
    right = {name: one.outcome.astype(float) for name, one in found.items()}
    agreed = agreement(table("top1", sets(), found))
    in_id, under_shift = right["id"], ood(right)
    deltas = [(one.mean(1)[1:] - one.mean(1)[0]).round(12) for one in (in_id, under_shift)]
    assert agreed.same.rho == pytest.approx(spearmanr(*deltas).statistic)
    half = {
        k: [(v[:, h::2].mean(1)[1:] - v[0, h::2].mean()).round(12) for h in (0, 1)]
        for k, v in (("id", in_id), ("ood", under_shift))
    }
    crossed = [spearmanr(half["id"][h], half["ood"][1 - h]).statistic for h in (0, 1)]
    assert agreed.apart == pytest.approx(np.mean(crossed))
    assert agreed.reliability == pytest.approx(spearmanr(*half["ood"]).statistic)
    low, high = interval(agreed.same)
    assert -1 < low < agreed.same.rho < high < 1


def test_an_interval_of_a_correlation_by_hand():
    rho = RankCorrelation(rho=0.5, stderr=0.1, p=None, rows=22, columns=1)
    z, reach = np.arctanh(0.5), t.ppf(0.975, 20) * 0.1 / 0.75
    assert interval(rho) == pytest.approx((np.tanh(z - reach), np.tanh(z + reach)))
    assert interval(replace(rho, rho=1.0, stderr=0.0)) == pytest.approx((1, 1))
    assert interval(replace(rho, stderr=np.nan)) == (-1, 1)


def test_no_correlation_of_two_layers_or_without_differences():
    found = {
        name: replace(one, outcome=one.outcome[[0, 0, 0, 0]], networks=("base", "a", "b", "c"))
        for name, one in measured().items()
    }
    assert agreement(table("top1", sets(), found)) is None
    two = {
        name: replace(one, outcome=one.outcome[:3], networks=one.networks[:3])
        for name, one in measured().items()
    }
    assert agreement(table("top1", sets(), two)) is None
