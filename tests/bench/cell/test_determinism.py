"""Operators that do not repeat on a GPU, by torch's warnings; flags that are put back. No GPU is needed."""

import os
import warnings
from types import SimpleNamespace

import pytest
import torch

import flatqat
from flatqat.bench.cell import environment as environments
from flatqat.bench.cell.determinism import flags, flags_put_back, listening, repeat_on_cuda
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.models.tiny import Tiny
from flatqat.spec import Environment
from tests.helpers.running import run_plan

CUDA = torch.device("cuda")


def warn(name: str) -> None:
    """What `alertNotDeterministic` of torch says, as in aten/src/ATen/Context.cpp."""
    warnings.warn(
        f"{name} does not have a deterministic implementation, but you set "
        "'torch.use_deterministic_algorithms(True, warn_only=True)'. You can file an issue at "
        "https://github.com/pytorch/pytorch/issues to help us prioritize adding deterministic support.",
        stacklevel=1,
    )


def test_operators_are_collected_by_name_and_other_warnings_are_shown():
    apart: set[str] = set()
    with warnings.catch_warnings(record=True) as shown, listening(CUDA) as heard:
        for _ in range(3):
            warn("cumsum_cuda_kernel")
            warn("upsample_bilinear2d_backward_out_cuda")
        with heard.into(apart):
            warn("nll_loss2d_forward_out_cuda_template")
        warnings.simplefilter("default")
        warnings.warn("of a plugin", stacklevel=1)
    assert heard.names == {"cumsum_cuda_kernel", "upsample_bilinear2d_backward_out_cuda"}
    assert apart == {"nll_loss2d_forward_out_cuda_template"}
    assert [str(warning.message) for warning in shown] == ["of a plugin"]


def test_torch_words_its_warning_in_this_way(monkeypatch):
    """Of the installed release: an operator that has no deterministic algorithm on a CPU either."""
    with flags_put_back(), listening(CUDA) as heard:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.empty(2, 2).put_(torch.tensor([0]), torch.tensor([1.0]), accumulate=False)
    assert heard.names == {"put_"}


def test_flags_are_set_and_put_back(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = flags(), torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory
    with flags_put_back():
        torch.backends.cudnn.benchmark = True
        repeat_on_cuda()
        assert flags() == {"deterministic": True, "tf32": False}
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    after = flags(), torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory
    assert after == before
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with flags_put_back():
        repeat_on_cuda()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8", "the user's own"


def test_a_run_in_a_process_of_others_puts_flags_back(monkeypatch, tmp_path):
    monkeypatch.setattr("flatqat.bench.engine.run.make_plan", lambda request: None)
    monkeypatch.setattr("flatqat.bench.engine.run.run", lambda plan, session: [flags()["deterministic"]])
    monkeypatch.setattr(
        "flatqat.bench.engine.run.Session", SimpleNamespace(open=lambda request, shown: repeat_on_cuda())
    )
    assert flatqat.run(Request(results=tmp_path)) == [True]
    assert not flags()["deterministic"]


@pytest.mark.filterwarnings("ignore:.*deterministic implementation")  # of checks before the run
def test_the_record_names_them_where_they_ran(monkeypatch, tmp_path):
    """A network that warns in each of its stages; on the CPU, which is told to listen like a GPU."""
    from flatqat.bench.engine import together, train
    from flatqat.bench.flatness import measure

    for module in (train, measure, together):
        monkeypatch.setattr(module, "listening", lambda device: listening(CUDA))
    forward = Tiny.forward

    def noisy(self, x):
        warn(
            "in_training"
            if self.training
            else "in_scoring"
            if torch.is_inference_mode_enabled()
            else "in_flatness"
        )
        return forward(self, x)

    monkeypatch.setattr(Tiny, "forward", noisy)
    recipe = {"pretrain_steps": "2", "steps": "1", "flatness_images": "16", "flatness_draws": "2"}
    fields = {"suites": ("toy",), "methods": ("fp",), "bits": (), "seeds": (0,), "jobs": 1}
    request = Request(results=tmp_path, settings={"recipe": recipe}, spaces=("quantized",), **fields)
    (record,) = run_plan(make_plan(request))
    assert "in_training" in record.train.not_repeatable
    assert record.flatness.quantized.not_repeatable == ("in_flatness",)
    assert {log.not_repeatable for log in record.protocol.scoring.values()} == {("in_scoring",)}
    assert list(record.protocol.scoring) == list(record.protocol.shifts)
    assert Store(tmp_path).record(record.cell) == record


def test_the_record_of_a_gpu_says_what_its_numbers_depend_on(monkeypatch, tmp_path):
    driver = tmp_path / "version"
    driver.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    )
    monkeypatch.setattr(environments, "DRIVER", driver)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 90100)
    monkeypatch.setattr("flatqat.quant.kernels.fused.kernels_on", lambda device: "triton")
    with flags_put_back():
        repeat_on_cuda()
        env = environments.environment(CUDA, threads=1)
    assert env.kind == "NVIDIA H100 80GB HBM3"
    assert env.to_dict()["cuda"] == {
        "version": "12.4",
        "cudnn": "90100",
        "driver": "550.54.15",
        "flags": {"deterministic": True, "tf32": False},
    }
    assert Environment.from_dict(env.to_dict()) == env
    driver.unlink()
    assert "driver" not in environments.environment(CUDA, threads=1).to_dict()["cuda"]


def test_the_record_of_a_cpu_says_nothing_of_cuda():
    env = environments.environment(torch.device("cpu"), threads=1)
    assert env.kind == "cpu"
    assert "cuda" not in env.to_dict()
