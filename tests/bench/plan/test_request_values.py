"""A request made in Python is checked as the options of the command line are, before anything runs."""

from pathlib import Path

import numpy as np
import pytest

import flatqat
from flatqat.bench.plan.request import Request
from flatqat.errors import UsageError

TEXTS = ("recipe", "device", "ray", "window", "adapt", "log")
PATHS = ("weights", "data_root", "results")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": (2**64,)}, "seeds: expected a whole number from 0 to 9{18}, got 18446744073709551616"),
        ({"seeds": (-1,)}, "seeds: expected a whole number from 0 to"),
        ({"seeds": ("a",)}, "seeds: expected a whole number"),
        ({"seeds": (1.5,)}, "seeds: expected a whole number"),
        ({"seeds": (True,)}, "seeds: expected a whole number"),
        ({"seeds": 3}, r"seeds: expected whole numbers such as \(0, 1, 2\), got 3"),
        ({"seeds": ()}, "seeds: expected whole numbers"),
        ({"limit": 1}, "limit: expected a whole number of at least 2, got 1"),
        ({"limit": "5"}, "limit: expected a whole number"),
        ({"jobs": 0}, "jobs: expected a whole number from 1 to 1024, got 0"),
        ({"threads": 0}, "threads: expected a whole number of at least 1"),
        ({"workers": -1}, "workers: expected a whole number from 0 to 256"),
        ({"bits": (4,)}, r"bits: expected texts such as \('4',\), got \(4,\)"),
        ({"suites": None}, "suites: expected texts"),
        ({"recipe": 5}, "recipe: expected a text, got 5"),
        *(({name: ""}, f"Request.{name}: expected a text, got ''") for name in TEXTS),
        ({"methods": ("qat", "")}, r"Request.methods: expected texts such as \('qat',\), got \('qat', ''\)"),
        *(({name: ""}, f"Request.{name}: expected a path, got ''") for name in PATHS),
        ({"data_root": 3}, "data_root: expected a path, got 3"),
        ({"spaces": ("q",)}, "unknown value of --space 'q'"),
        ({"adapt": 1}, "Request.adapt: expected a text, got 1"),
        ({"adapt": "all"}, "unknown value of --adapt 'all'"),
        ({"amp": 1}, "amp: expected True or False, got 1"),
        ({"settings": ("recipe.lr=abc",)}, "settings: expected texts by owner and key"),
        ({"settings": {"recipe": {"lr": 0.1}}}, "settings: expected texts by owner and key"),
    ],
)
def test_a_value_that_no_option_could_have_is_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        Request(**changes)


def test_what_notebooks_pass_becomes_what_fields_hold():
    request = Request(
        suites="digits-c",
        methods=["fp", "qat"],
        bits="4",
        seeds=np.arange(2),
        limit=np.int64(5),
        results="runs",
    )
    assert (request.suites, request.methods, request.bits) == (("digits-c",), ("fp", "qat"), ("4",))
    assert request.seeds == (0, 1)
    assert {type(seed) for seed in request.seeds} == {int} == {type(request.limit)}
    assert request.results == Path("runs")
    assert Request() == Request(weights=None, spaces=("quantized",))


def test_a_request_without_suites_cannot_be_run():
    with pytest.raises(UsageError, match=r"Request.suites: expected at least one suite, got none"):
        flatqat.run(Request(suites=()))


def test_methods_that_quantize_need_bits():
    """Without any they ran nothing, and said nothing; full precision needs none."""
    with pytest.raises(UsageError, match=r"Request.bits: expected bits such as '4' for qat, sam, got"):
        flatqat.run(Request(methods=("fp", "qat", "sam"), bits=()))


@pytest.mark.parametrize("given", [None, {}, "digits-c"])
def test_only_a_request_can_be_run(given):
    with pytest.raises(UsageError, match=r"flatqat.run: expected a flatqat.Request, got "):
        flatqat.run(given)


def test_settings_are_those_that_were_checked():
    given = {"anchor": {"strength": "0.1"}}
    request = Request(settings=given)
    given["anchor"]["strength"] = "0.2"
    assert request.settings == {"anchor": {"strength": "0.1"}}
