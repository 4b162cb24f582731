"""Freezing by the disorder of gradients: identities, units, controls, and what frozen means."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

from flatqat import registry, testing
from flatqat.errors import UsageError
from flatqat.methods import fqat, freeze, gaqat, sagm
from flatqat.methods.base import Setup
from flatqat.methods.disorder import MOST_LOGGED, find_units
from flatqat.methods.qat import QAT
from flatqat.spec import Recipe
from tests.helpers.method_runs import RECIPE, assert_equal, batches, differ, network, trained
from tests.helpers.slow import slow

MODULES = [fqat, gaqat]


FAST = {"window": 2, "every": 1}


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("bits", ["3", "w2a32", "4@minmax", "fp"])
def test_never_frozen_is_sagm(module, bits):
    config = module.Config(control="never", rho=0.5, **FAST)
    assert_equal(trained(module.METHOD, bits, config), trained(sagm.SAGM, bits, sagm.Config(rho=0.5)))


def test_units_are_step_sizes_or_layers():
    net = network("3")
    assert [unit.parameters for unit in find_units(net, "scale_all")] == [
        (f"{layer}.{scale}",)
        for layer in "036"
        for scale in ("parametrizations.weight.0.scale", "input_quantizer.scale")
    ]
    for unit, layer in zip(find_units(net, "layer_all"), "036", strict=True):
        scales = {f"{layer}.parametrizations.weight.0.scale", f"{layer}.input_quantizer.scale"}
        weight = f"{layer}.parametrizations.weight.original"
        assert set(unit.parameters) == {weight, f"{layer}.bias", *scales}
        assert set(unit.watched) == scales
        assert unit.pooled
    for bits in ("4@minmax", "fp"):  # no step size is learned: layers in their place
        for target in ("layer_all", "scale_all", "scale_task_grad"):
            units = find_units(network(bits), target)
            assert len(units) == 3
            assert all(len(unit.parameters) == 2 and not unit.pooled for unit in units)
            assert all("weight" in unit.watched[0] for unit in units)


def begun(module, bits: str = "3", recipe: Recipe = RECIPE, seed: int = 0, **settings):
    method_class = module.METHOD
    setup = Setup(model=network(bits), loss=F.cross_entropy, recipe=recipe, seed=seed)
    method = method_class(setup, module.Config(**settings))
    method.begin(batches(2))
    return method


def gradients(method, x, y) -> dict[str, torch.Tensor]:
    """What the optimizer sees in the next step."""
    seen: dict[str, torch.Tensor] = {}
    handle = method.optimizer.register_step_pre_hook(
        lambda *_: seen.update(
            {n: p.grad.clone() for n, p in method.model.named_parameters() if p.grad is not None}
        )
    )
    method.step(x, y)
    handle.remove()
    return seen


def test_a_frozen_step_size_loses_its_task_gradient_alone():
    x, y = batches(1)[0]
    whole = gradients(begun(sagm, rho=0.5), x, y)
    task = gradients(QAT_like(), x, y)
    got = gradients(begun(gaqat, rho=0.5, control="always"), x, y)
    assert got.keys() == whole.keys()
    for name, g in got.items():
        if name.endswith("scale"):
            assert not torch.equal(g, whole[name])
            torch.testing.assert_close(g, whole[name] - 0.5 * task[name])
        else:
            assert torch.equal(g, whole[name])


def QAT_like():
    method = QAT(Setup(model=network("3"), loss=F.cross_entropy, recipe=RECIPE))
    method.begin(batches(2))
    return method


@pytest.mark.parametrize("target", ["layer_all", "scale_all"])
def test_what_is_frozen_stands_still_and_the_rest_moves(target):
    """Off and on every two steps; momentum and weight decay would move a weight of no gradient."""
    recipe = Recipe(pretrain_steps=0, steps=6, batch_size=16, lr=0.05, schedule="constant")
    method = begun(fqat, recipe=recipe, control="alternate", every=2, freeze_target=target)
    held = {name for unit in method.units for name in unit.parameters}
    assert len(held) == (12 if target == "layer_all" else 6)
    for step, (x, y) in enumerate(batches(6)):
        before = {name: p.detach().clone() for name, p in method.model.named_parameters()}
        method.step(x, y)
        for name, p in method.model.named_parameters():
            still = name in held and step in (2, 3)
            if name == "0.bias" and not still:
                continue  # before BatchNorm: no gradient but rounding errors
            assert torch.equal(p, before[name]) == still, (step, name)
    assert method.log()["share"] == [1, 0, 1]
    assert method.log()["frozen"] == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.parametrize("kind", ["task", "smooth", "conflict"])
@pytest.mark.parametrize("when", ["high", "low"])
@pytest.mark.parametrize("target", ["scale_task_grad", "scale_all", "layer_all"])
def test_units_are_frozen_by_their_own_disorder(kind, when, target):
    """Decisions against signs of gradients written down by a hook and counted one by one."""
    settings = {"window": 4, "every": 3, "threshold": 0.4, "disorder": kind, "freeze_when": when}
    recipe = Recipe(pretrain_steps=0, steps=12, batch_size=16, lr=0.05)
    method = begun(fqat, recipe=recipe, freeze_target=target, **settings)
    told: list[tuple[dict[str, float], dict[str, float]]] = []
    combine = method.combine

    def watched(first):
        second = {n: p.grad.mean().item() for n, p in method.model.named_parameters()}
        told.append(({n: g.mean().item() for n, g in first.items()}, second))
        combine(first)

    method.combine = watched
    outcomes = set()
    for step, (x, y) in enumerate(batches(12), start=1):
        method.step(x, y)
        if step % 3 or step < 4:
            continue
        for unit, is_frozen in zip(method.units, method.frozen.tolist(), strict=True):
            differing = []
            for name in unit.watched:
                task, smooth = ([side[name] > 0 for side in pair] for pair in zip(*told[-4:], strict=True))
                now, then = {
                    "task": (task[1:], task[:-1]),
                    "smooth": (smooth[1:], smooth[:-1]),
                    "conflict": (task, smooth),
                }[kind]
                differing += [a != b for a, b in zip(now, then, strict=True)]
            d = sum(differing) / len(differing)
            assert is_frozen == (d > 0.4 if when == "high" else d < 0.4), (step, unit)
            outcomes.add(is_frozen)
    assert outcomes == {True, False} or kind == "conflict"


def test_random_freezes_as_many_as_the_disorder_would_and_others():
    def choices(seed: int, control: str) -> list[list[bool]]:
        method = begun(gaqat, seed=seed, control=control, threshold=0.6, rho=0.0, alpha=0.0, **FAST)
        method.frozen_later = []
        for x, y in batches(1):
            for _ in range(2):  # nothing is frozen yet: the same gradients for all controls
                method.step(x, y)
        return method.frozen.tolist()

    by_metric = choices(0, "none")
    drawn = [choices(seed, "random") for seed in range(4)]
    assert {sum(found) for found in drawn} == {sum(by_metric)}
    assert 0 < sum(by_metric) < len(by_metric)
    assert choices(0, "random") == drawn[0]
    assert len({tuple(found) for found in drawn}) > 1


@pytest.mark.parametrize("module", MODULES)
def test_every_option_changes_something(module):
    plain = trained(sagm.SAGM, "3")
    eager = trained(module.METHOD, "3", module.Config(**FAST))
    assert differ(eager, plain)
    for control in ("random", "always", "alternate"):
        assert differ(trained(module.METHOD, "3", module.Config(control=control, **FAST)), plain)
    other = "scale_all" if module is gaqat else "scale_task_grad"
    assert differ(trained(module.METHOD, "3", module.Config(freeze_target=other, **FAST)), eager)


def test_the_log_is_compact():
    recipe = Recipe(pretrain_steps=0, steps=120, batch_size=16)
    method = begun(gaqat, "w2a32", recipe=recipe, window=2, every=1)
    (x, y), *_ = batches(1)
    for _ in range(120):
        method.step(x[:2], y[:2])
    log = method.log()
    assert log["every"] == 3
    assert len(log["share"]) == len(log["disorder"]) == 40 <= MOST_LOGGED
    assert log["units"] == 3
    assert 0 < log["frozen"] < 1
    assert log["frozen"] == pytest.approx(sum(method.frozen_fractions[:-1]) / 120, abs=1e-3)


@pytest.mark.parametrize("setting", [{"window": 1}, {"every": 0}, {"threshold": 1.5}, {"rho": -1.0}])
@pytest.mark.parametrize("module", MODULES)
def test_settings_are_checked(module, setting):
    with pytest.raises(UsageError, match=rf"{module.__name__.rpartition('.')[2]}\.\w+: expected"):
        module.Config(**setting)


@dataclass(frozen=True, slots=True, kw_only=True)
class EagerFQAT(fqat.Config):
    window: int = 2
    every: int = 1
    control: str = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class EagerGAQAT(gaqat.Config):
    control: str = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class EagerFreeze(freeze.Config):
    threshold: float = 0.0
    threshold_end: float = 0.0


@pytest.mark.parametrize(
    ("module", "config"), [(gaqat, EagerGAQAT), *slow((fqat, EagerFQAT), (freeze, EagerFreeze))]
)
@pytest.mark.parametrize("check", testing.CHECKS[registry.METHODS], ids=lambda c: c.__name__)
def test_contract_while_much_is_frozen(module, config, check):
    check(type("Eager", (module.METHOD,), {"Config": config}))
