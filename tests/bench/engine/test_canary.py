"""Published figures beside what comes out: in the sampling interval, off, or not to be checked and why."""

from dataclasses import replace
from functools import partial
from math import sqrt

import numpy as np
import pytest
import torch

from flatqat import registry
from flatqat.bench.engine import together
from flatqat.bench.engine.canary import Figure, canary, figures
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.console.progress import PlainProgress
from flatqat.errors import UsageError, WeightsError
from flatqat.metrics.mce import ALEXNET
from flatqat.models.base import Normalized, build
from flatqat.spec import Recipe
from flatqat.suites._shifts import on_the_fly, shifts
from flatqat.suites.digits_c import TEST
from tests.helpers.running import session_of

CPU = torch.device("cpu")
N = 60


@pytest.fixture
def suite(monkeypatch):
    """The digits with all corruptions of the mCE, never trained on."""
    digits = registry.load(registry.SUITES, "digits-c")
    every = shifts(TEST, partial(on_the_fly, TEST), extra=False)
    frozen = replace(digits, recipes={"eval": Recipe(pretrain_steps=0, steps=0)}, shifts=every)
    load = registry.load
    monkeypatch.setattr(
        registry, "load", lambda kind, name: frozen if name == "digits-c" else load(kind, name)
    )
    return frozen


@pytest.fixture
def request_(tmp_path):
    torch.save(build("tiny", classes=10, seed=3).net.state_dict(), tmp_path / "weights.pt")
    return Request(
        suites=(),
        methods=("fp",),
        bits=("fp",),
        seeds=(0,),
        weights=tmp_path / "weights.pt",
        results=tmp_path / "r",
        limit=N,
    )


def figure(shift: str, value: float, metric: str = "top1", **changes) -> Figure:
    known = Figure(
        model="tiny",
        title="t",
        suite="digits-c",
        shift=shift,
        metric=metric,
        value=value,
        images=497,
        source="s",
    )
    return replace(known, **changes)


@torch.no_grad()
def right(suite, weights) -> dict[str, np.ndarray]:
    """By hand."""
    model = build("tiny", classes=10, seed=0)
    model.net.load_state_dict(torch.load(weights))
    model.eval()
    found = {}
    for shift in suite.shifts:
        x, y = shift.build(None).sample(N).batch(torch.arange(N))
        found[shift.name] = (model(x).argmax(1) == y).numpy()
    return found


def test_figures_are_checked_within_their_sampling_interval(suite, request_):
    truth = right(suite, request_.weights)
    clean = 100 * truth["id"].mean()
    fog = 100 * np.mean([truth[f"fog/{s}"].mean() for s in range(1, 6)])
    near, far = clean + 2, min(99.0, clean + 40)
    checks = canary([figure("id", near), figure("id", far), figure("fog", fog)], session_of(request_))
    assert [c.verdict for c in checks] == ["ok", "OFF", "ok"]
    assert [c.ours for c in checks] == pytest.approx([clean, clean, fog])
    for check, value in zip(checks, (near, far, fog), strict=True):
        assert check.n == N
        p = value / 100
        assert check.tolerance == pytest.approx(196 * sqrt(p * (1 - p) / N))


def test_fewer_published_images_widen_the_interval(suite, request_):
    (check,) = canary([figure("id", 50.0, images=10)], session_of(request_))
    assert check.tolerance == pytest.approx(196 * sqrt(0.25 / 10))


def test_mce_is_that_of_its_definition(suite, request_):
    truth = right(suite, request_.weights)
    errors = {c: 100 - 100 * np.mean([truth[f"{c}/{s}"].mean() for s in range(1, 6)]) for c in ALEXNET}
    expected = np.mean([100 * errors[c] / ALEXNET[c] for c in ALEXNET])
    (check,) = canary([figure("headline", 100.0, "mce")], session_of(request_))
    assert check.ours == pytest.approx(expected)
    shares = np.mean(
        [1e4 / ALEXNET[c] * np.mean([~truth[f"{c}/{s}"] for s in range(1, 6)], axis=0) for c in ALEXNET],
        axis=0,
    )
    assert check.tolerance == pytest.approx(1.96 * shares.std(ddof=1) / sqrt(N))


def test_what_cannot_be_checked_says_why(suite, request_, tmp_path):
    other = figure("id", 50.0, suite="cifar10-c")
    checks = canary([other, figure("id", 50.0)], session_of(replace(request_, data_root=tmp_path)))
    assert (checks[0].verdict, checks[0].ours) == ("not checked", None)
    assert "expected" in checks[0].reason
    assert checks[1].ours is not None


def test_weights_that_cannot_be_used_are_no_lack_of_data(suite, request_, tmp_path):
    with pytest.raises(UsageError, match="pass --weights FILE or --pretrained"):
        canary([figure("id", 50.0)], session_of(replace(request_, weights=None)))
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"junk")
    with pytest.raises(WeightsError, match="expected tensors alone"):
        canary([figure("id", 50.0)], session_of(replace(request_, weights=junk)))


def test_figures_of_one_call_share_their_scores(suite, request_, monkeypatch):
    scored = []
    original = together.Together._write
    monkeypatch.setattr(
        together.Together,
        "_write",
        lambda self, job, sweep: scored.append(sweep.shift.name) or original(self, job, sweep),
    )
    canary([figure("id", 50.0), figure("fog/1", 50.0), figure("id", 60.0)], session_of(request_))
    assert scored == ["id", "fog/1"]


def test_every_call_measures_the_data_that_it_is_given(suite, request_, monkeypatch):
    """Also after one that was killed with its scores stored; and it leaves none behind."""
    drop, wanted = Store.drop_work, [figure("id", 50.0)]
    monkeypatch.setattr(Store, "drop_work", lambda self, cell: None)
    (before,) = canary(wanted, session_of(request_))
    monkeypatch.setattr(Store, "drop_work", drop)
    id_, *others = suite.shifts

    def relabeled(root):
        data = id_.build(root)
        return replace(data, labels=9 - data.labels)

    mended, load = replace(suite, shifts=(replace(id_, build=relabeled), *others)), registry.load
    monkeypatch.setattr(
        registry, "load", lambda kind, name: mended if name == "digits-c" else load(kind, name)
    )
    truth = right(mended, request_.weights)
    (after,) = canary(wanted, session_of(request_))
    assert after.ours == pytest.approx(100 * truth["id"].mean())
    assert after.ours != before.ours
    assert not (request_.results / ".work").exists()


def test_the_published_figures_are_read():
    found = figures()
    assert len(found) > 80
    by_title = {(f.model, f.title): f.value for f in found}
    assert by_title["torchvision:resnet50.IMAGENET1K_V1", "ImageNet val"] == 76.13
    assert by_title["torchvision:resnet50.IMAGENET1K_V1", "ImageNet-C mCE"] == 76.7
    assert by_title["torchvision:alexnet.IMAGENET1K_V1", "ImageNet-C mCE"] == 100
    assert {f.model for f in figures(["timm:resnet18.tv_in1k"])} == {"timm:resnet18.tv_in1k"}
    with pytest.raises(UsageError, match="unknown model with published figures 'resnet18'"):
        figures(["resnet18"])


@pytest.mark.parametrize("stage", ["restore", "predict"])
def test_a_bug_costs_the_figure_that_it_hits_alone(suite, request_, monkeypatch, stage):
    """The next figure is checked, and the bug is shown."""
    said: list[str] = []
    original = {"restore": together.restore, "predict": Normalized.predict}[stage]
    broken: list[object] = []

    def fail(*args, **kwargs):
        broken.append(args)
        if len(broken) == 1:
            raise ZeroDivisionError("of the model")
        return original(*args, **kwargs)

    target = (together, "restore") if stage == "restore" else (Normalized, "predict")
    monkeypatch.setattr(*target, fail)
    wanted = [figure("id", 50.0), figure("fog/1", 50.0)]
    checks = canary(wanted, session_of(request_, PlainProgress(said.append)))
    assert [check.verdict == "not checked" for check in checks] == [True, False]
    assert checks[0].reason == "crashed: ZeroDivisionError('of the model')"
    assert "Traceback" in "".join(said)
