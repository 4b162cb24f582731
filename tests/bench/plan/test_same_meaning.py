"""Settings that change no number change no identity, so that the same numbers are not stored twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request, parse_seeds
from flatqat.bench.plan.settings import parse_settings
from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import DataError
from flatqat.suite import Shift
from tests.helpers import HELPERS
from tests.helpers.plugins import registered
from tests.helpers.running import run_plan

BASE = Request(suites=("toy",), methods=("fp", "anchor"), bits=("3",), seeds=(0,), results=Path("nowhere"))


def ids(**changes) -> list[str]:
    return [job.cell.id for job in make_plan(replace(BASE, **changes)).scored()]


@pytest.mark.parametrize(
    ("same", "as_"),
    [
        ({"bits": ("w3a3",)}, {}),
        ({"bits": ("w3a3@lsq", "3", "03")}, {}),
        ({"bits": ("w3",)}, {"bits": ("w3a32@lsq",)}),
        ({"keep": ("first", "last")}, {}),
        ({"keep": ("last", "first", "last")}, {}),
        ({"keep": ("conv1", "last")}, {}),
        ({"keep": ("none",), "bits": ("8",)}, {"bits": ("8",)}),
        ({"keep": ("conv1",)}, {"keep": ("first",)}),
        ({"keep": ("first,conv1",)}, {"keep": ("first",)}),
        ({"keep": ("stage1.0,conv*",)}, {"keep": ("first,stage1.0",)}),
        (
            {"keep": ("stage1.0",), "layer_bits": ("stage1.0=2",)},
            {"keep": ("none",), "layer_bits": ("stage1.0=2",)},
        ),
        ({"layer_bits": ("stage1.0=3",)}, {}),
        ({"layer_bits": ("stage1.0=w3a3",)}, {}),
        ({"layer_bits": ("conv1=8", "stage1.0=2")}, {"layer_bits": ("stage1.0=2",)}),
        ({"layer_bits": ("stage1.0=4", "stage1.0=2")}, {"layer_bits": ("stage1.0=2",)}),
        ({"layer_bits": ("stage2.0=4", "stage1.0=2")}, {"layer_bits": ("stage1.0=2", "stage2.0=4")}),
        ({"settings": parse_settings(["anchor.strength=0.10", "recipe.lr=2e-2"])}, {}),
        (
            {"settings": parse_settings(["recipe.lr=1", "anchor.strength=1"])},
            {"settings": parse_settings(["anchor.strength=1.0", "recipe.lr=1.0"])},
        ),
        ({"seeds": parse_seeds("00,0")}, {}),
        ({"seeds": parse_seeds("1")}, {}),
        ({"recipe": "default"}, {}),
        ({"models": ("tiny",)}, {}),
        ({"methods": ("fp", "anchor", "fp")}, {}),
        ({"suites": ("toy", "toy")}, {}),
        ({"limit": 96}, {}),
        ({"limit": 10_000}, {}),
    ],
    ids=str,
)
def test_the_same_cells(same, as_):
    assert ids(**same) == ids(**as_)


@pytest.mark.parametrize(
    "other",
    [
        {"keep": ("none",)},
        {"layer_bits": ("stage1.0=2",)},
        {"layer_bits": ("conv1=3",)},
        {"layer_bits": ("stage1.0=2", "*=4")},
        {"limit": 95},
        {"adapt": "bn"},
    ],
    ids=str,
)
def test_other_cells(other):
    assert ids(**other)[1] != ids()[1]


def test_the_last_pattern_of_a_layer_still_decides():
    assert ids(layer_bits=("stage1.0=2", "stage1*=4")) != ids(layer_bits=("stage1*=4", "stage1.0=2"))


def sized(val: int, clean: int, shifted: int):
    """The toy suite with as many images."""
    suite = registry.load(registry.SUITES, "toy")

    def images(count):
        return lambda root: suite.val(root).sample(count)

    shifts = (
        Shift(name="id", family="id", build=images(clean)),
        Shift(name="dark", family="dark", build=images(shifted), image_set="dark"),
    )
    return replace(suite, name="sized", val=images(val), shifts=shifts)


@pytest.mark.parametrize("sizes", [(60, 20, 20), (20, 60, 20), (20, 20, 60)])
def test_a_limit_that_limits_any_set_counts(sizes):
    with registered(registry.SUITES, "sized", sized(*sizes)):
        assert ids(suites=("sized",), limit=59) != ids(suites=("sized",))
        assert ids(suites=("sized",), limit=60) == ids(suites=("sized",))


def test_a_limit_without_data_stays():
    def missing(root):
        raise DataError("no such folder")

    suite = registry.load(registry.SUITES, "toy")
    shifts = tuple(replace(shift, build=missing) for shift in suite.shifts)
    with registered(registry.SUITES, "gone", replace(suite, name="gone", shifts=shifts)):
        (cell, *_) = (job.cell for job in make_plan(replace(BASE, suites=("gone",), limit=500)).scored())
        assert cell.limit == 500


def test_without_a_limit_nothing_is_loaded(monkeypatch):
    monkeypatch.setattr(ImageData, "in_memory", lambda *args, **kw: pytest.fail("loaded"))
    assert ids()


def test_a_limit_above_the_sizes_computes_nothing_again(tmp_path):
    base = replace(BASE, results=tmp_path, methods=("fp",), spaces=())
    (first,) = run_plan(make_plan(base))
    assert run_plan(make_plan(replace(base, limit=10_000))) == [first]
    assert len(list(tmp_path.glob("records/toy/*.json"))) == 1


@pytest.mark.parametrize("window", ["24", "24:16", "24x24:16x16"])
def test_the_window_counts_however_it_is_written(window):
    registry.add_plugin(HELPERS / "toy_map.py")
    written = {"suites": ("toy-map",), "window": window}
    assert ids(**written) == ids(suites=("toy-map",), window="24")
    assert ids(suites=("toy-map",), window="whole") == ids(suites=("toy-map",)) != ids(**written)
