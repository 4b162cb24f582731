"""Who does a run, as the options say it, and combinations that make no sense."""

import pytest

from flatqat.bench.plan.processes import Processes, parse_processes
from flatqat.errors import UsageError


def parse(**options) -> Processes:
    defaults = {"jobs": "auto", "device": "auto", "devices": None, "per_device": None, "ray": None}
    return parse_processes(**{**defaults, **options})


def test_each_device_takes_its_turn():
    two = parse(devices=("cuda:0", "cuda:1"), per_device=2)
    assert two == Processes(jobs=4, device="auto", devices=("cuda:0", "cuda:1", "cuda:0", "cuda:1"))
    assert parse(devices=("cpu",), per_device=3) == Processes(jobs=3, device="auto", devices=("cpu",) * 3)
    assert parse(devices=("cpu", "cpu")).jobs == 2
    assert parse(devices=("cuda", "cuda:0")).devices == ("cuda:0",) * 2


def test_processes_of_one_device():
    assert parse() == Processes(jobs=None, device="auto")
    assert parse(jobs="3", device="cuda:1") == Processes(jobs=3, device="cuda:1")


@pytest.mark.parametrize("ray", ["local", "auto", "head:6379", "10.0.0.1:6379", "[fe80::1]:6379"])
def test_a_ray_cluster(ray):
    assert parse(ray=ray) == Processes(jobs=None, device="auto", ray=ray)
    assert parse(ray=ray, jobs="2", per_device=4, device="cuda").per_device == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": ("cpu",), "jobs": "2"}, "--devices: expected no --jobs"),
        ({"devices": ("cpu",), "device": "cpu"}, "--devices: expected no --device "),
        ({"devices": ("cpu",), "ray": "local"}, "--devices: expected no --ray"),
        ({"devices": ()}, "--devices: expected 1 to 1024 processes in all, got 0 devices"),
        ({"devices": ("cpu",) * 17, "per_device": 64}, "got 17 devices with 64 on each"),
        ({"devices": ("auto",)}, "--devices: expected names such as .* got 'auto'"),
        ({"devices": ("cuda:",)}, "--devices: expected names"),
        ({"devices": ("cuda:１",)}, "--devices: expected names"),
        ({"per_device": 2}, "--per-device: expected --devices or --ray beside it"),
        ({"per_device": 2, "jobs": "2"}, "--per-device: expected --devices or --ray beside it"),
        ({"ray": "head"}, "--ray: expected local, auto or HOST:PORT, got 'head'"),
        ({"ray": "ray://head:10001"}, "--ray: expected local"),
        ({"ray": "local", "device": "cuda:1"}, "--device: expected auto, cpu or cuda, since Ray"),
        ({"ray": "local", "jobs": "0"}, "--jobs: expected auto or a number"),
    ],
)
def test_what_makes_no_sense(options, message):
    with pytest.raises(UsageError, match=message):
        parse(**options)
