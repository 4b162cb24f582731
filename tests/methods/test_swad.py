"""SWAD: where the valley starts and ends, and that exactly its steps are averaged."""

import random

import pytest
import torch
from torch.nn import functional as F

from flatqat.errors import UsageError
from flatqat.methods import swad
from flatqat.methods.base import Setup
from flatqat.methods.batchnorm import reestimate_batchnorm
from flatqat.methods.qat import QAT
from flatqat.spec import Recipe
from tests.helpers.method_runs import assert_equal, batches, network, qat_path, trained, values


def written_out(losses: list[float], ns: int, ne: int, r: float) -> tuple[int | None, int]:
    """The paper's pseudo-code, looks counted from 1: start (None: no valley) and end."""
    start, end, limit = None, len(losses), 0.0
    for i in range(1, len(losses) + 1):
        if start is None:
            if i >= ns and losses[i - ns] == min(losses[i - 1 - j] for j in range(ns)):
                start = i - ns + 1
                limit = (1 + r) / ns * sum(losses[i - 1 - j] for j in range(ns))
        elif min(losses[max(0, i - 1 - j)] for j in range(ne)) > limit:
            end = i - ne
            break
    return start, end


def valley_of(losses: list[float], ns: int, ne: int, r: float) -> swad.Valley:
    valley = swad.Valley(n_converge=ns, n_tolerance=ne, tolerance_ratio=r)
    for loss in losses:
        valley.add(loss)
    return valley


@pytest.mark.parametrize(
    ("losses", "ns", "ne", "r", "start", "end"),
    [
        ([5, 4, 3, 2, 1], 3, 6, 0.3, None, None),  # still falling
        ([3, 2, 1, 2, 3, 2], 3, 6, 0.3, 2, None),  # stopped falling at 1, goes on to the end
        ([3, 1, 2, 2, 9, 1, 9, 9, 1], 3, 2, 0.5, 1, 5),  # two looks above 2.5 in a row end it before them
        ([1, 1, 1, 9, 9, 9], 1, 3, 0.0, 0, 2),  # a window of one: the first look starts it
    ],
)
def test_valleys_by_hand(losses, ns, ne, r, start, end):
    valley = valley_of([float(loss) for loss in losses], ns, ne, r)
    assert (valley.start, valley.end) == (start, end)


def random_losses(seed: int) -> list[float]:
    """Falls, then wanders, then often rises."""
    draw = random.Random(seed)
    level, losses = 3.0, []
    for _ in range(draw.randint(1, 40)):
        level *= draw.uniform(0.7, 1.1) if level > 1 else draw.uniform(0.8, 1.35)
        losses.append(level)
    return losses


def test_valleys_are_those_of_the_papers_pseudo_code():
    seen = set()
    for seed in range(500):
        draw, losses = random.Random(-seed), random_losses(seed)
        ns, ne, r = draw.randint(1, 4), draw.randint(1, 7), draw.choice([0.0, 0.1, 0.3])
        start, end = written_out(losses, ns, ne, r)
        valley = valley_of(losses, ns, ne, r)
        assert valley.start == (None if start is None else start - 1)
        assert (len(losses) if valley.end is None else valley.end + 1) == end
        seen.add((start is None, end == len(losses)))
    assert seen == {(True, True), (False, True), (False, False)}


STEPS = 12
LONG = Recipe(pretrain_steps=0, steps=STEPS, batch_size=16, lr=0.05)


def run(losses: list[float], config: swad.Config):
    """The method after all steps, with these losses at its looks, and its network."""
    net = network("3")
    left = list(losses)
    setup = Setup(model=net, loss=F.cross_entropy, recipe=LONG, val_loss=lambda: left.pop(0))
    method = swad.SWAD(setup, config)
    method.begin(batches(2))
    for x, y in batches(STEPS):
        method.step(x, y)
    assert not left  # a look at every loss
    return net, method


@pytest.fixture(scope="module")
def path():
    """The weights of plain QAT after each step, from 1 on."""
    return qat_path(STEPS, recipe=LONG)


@pytest.mark.parametrize(
    ("losses", "config"),
    [
        ([3, 1, 2, 2, 9, 9, 9, 1, 1, 1, 1, 1], {"n_tolerance": 2}),
        ([3, 1, 2, 2, 2, 2, 9, 1, 9, 9, 9, 1], {"n_tolerance": 3}),
        ([3, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], {}),
        ([3, 1, 2, 2, 9, 9, 9, 9, 9, 9, 9, 9], {"n_converge": 3, "n_tolerance": 1}),
        ([3, 1, 2, 2, 2, 2], {"every": 2}),
        ([3, 1, 2, 9, 9, 9], {"every": 2, "n_converge": 2, "n_tolerance": 2}),
        ([2, 1, 2], {"every": 5, "n_converge": 2}),  # 5, 5 and 2 steps
        ([1, 2, 2, 2, 2, 2, 2, 2, 2, 9, 9, 9], {"n_converge": 1, "n_tolerance": 4}),
    ],
    ids=str,
)
def test_every_step_of_the_valley_is_averaged_and_no_other(losses, config, path):
    settings = swad.Config(**{"every": 1, "tolerance_ratio": 0.3, **config})
    net, method = run([float(loss) for loss in losses], settings)
    assert all(torch.equal(p, path[-1][name]) for name, p in values(net).items())  # trains as QAT
    start, end = written_out(losses, settings.n_converge, settings.n_tolerance, 0.3)
    first, last = (start - 1) * settings.every + 1, min(end * settings.every, STEPS)
    assert method.log()["averaged"] == [first, last]
    method.end(batches(3))
    for name, p in net.named_parameters():
        expected = torch.stack([w[name].double() for w in path[first : last + 1]]).mean(0)
        torch.testing.assert_close(p.detach().double(), expected, rtol=1e-5, atol=1e-7)  # float32 sums
    twin = network("3")
    twin.load_state_dict(net.state_dict())
    reestimate_batchnorm(twin, [x for x, _ in batches(3)])
    assert_equal(twin, net)


def test_without_a_valley_the_last_weights_are_deployed(path):
    net, method = run([float(12 - i) for i in range(12)], swad.Config(every=1))
    method.end(batches(3))
    assert method.log()["averaged"] is None
    assert all(torch.equal(p, path[-1][name]) for name, p in net.named_parameters())


def test_looks_are_fifty_unless_asked_otherwise():
    recipe = Recipe(pretrain_steps=0, steps=200, batch_size=16)
    for config, every in ((None, 4), (swad.Config(every=7), 7)):
        setup = Setup(model=network("fp"), loss=F.cross_entropy, recipe=recipe, val_loss=lambda: 1.0)
        method = swad.SWAD(setup, config)
        method.begin([])
        assert method.every == every


def test_a_setup_without_validation_is_refused():
    with pytest.raises(ValueError, match="val_loss"):
        trained(swad.SWAD, "3")


@pytest.mark.parametrize("setting", ["n_converge", "n_tolerance", "every"])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(UsageError, match=f"swad.{setting}: expected at least 1, got 0"):
        swad.Config(**{setting: 0})


def test_the_log_names_every_look():
    _, method = run([3.0, 1.0, 2.0], swad.Config(every=5))
    assert method.log() == {"averaged": None, "every": 5, "val_loss": [3.0, 1.0, 2.0]}
    assert QAT(method.setup).log() == {}
