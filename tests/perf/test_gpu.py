"""The acceptance of a GPU, with the CPU in its place: that its checks run, and that they can fail."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEventAvg

from flatqat import registry
from flatqat.testing.pretended import pretended_device
from perf.gpu import __main__ as acceptance
from perf.gpu import equality, speed
from perf.gpu.ledger import Entry, check, figure
from perf.gpu.setting import Setting, apart

ROOT = Path(__file__).parents[2]


def accept(monkeypatch: pytest.MonkeyPatch, out: Path, *only: str) -> int:
    words = ["gpu", "--device", "cpu", "--tiny", "--out", str(out), "--only", *only]
    monkeypatch.setattr(sys, "argv", words)
    return acceptance.main()


def test_sections_pass_where_the_device_is_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert accept(monkeypatch, tmp_path, "meters", "kernels", "rounding", "one pass") == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["section"] for row in found} == {"machine", "meters", "kernels", "rounding", "one pass"}
    assert (tmp_path / "gpu.md").read_text().startswith("| section | what | check | values |\n")


def test_equality_is_checked_between_two_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pretended one, which computes what the CPU does: what the sections move is where it has to be."""
    words = ["gpu", "--device", "cuda:0", "--tiny", "--out", str(tmp_path), "--only", "meters"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(registry, "names", lambda kind: ["lsq"])
    with pretended_device() as there:
        assert acceptance.main() == 0
        on = Setting(device=there.device, tiny=True)
        assert [entry.ok for entry in equality.quantizers(on)] == [True, True]
    assert len(there.notes.kernels) > 100


def test_a_failed_check_and_a_section_that_breaks_fail_the_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def wrong(on: Setting) -> Iterator[Entry]:
        yield check("one equals two", 1 == 2)

    def broken(on: Setting) -> Iterator[Entry]:
        yield figure("before")
        raise RuntimeError("out of memory")

    monkeypatch.setitem(acceptance.SECTIONS, "meters", wrong)
    monkeypatch.setitem(acceptance.SECTIONS, "kernels", broken)
    assert accept(monkeypatch, tmp_path, "meters", "kernels", "flatness") == 1
    found = json.loads((tmp_path / "gpu.json").read_text())
    failed = [(row["section"], row["what"]) for row in found if row["ok"] is False]
    assert failed == [("meters", "one equals two"), ("kernels", "the section ran")]
    assert any(row["section"] == "flatness" and row["ok"] for row in found)


def test_a_device_that_computes_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two corrupted batches, the device's, is one gray level off throughout."""
    calls = iter(range(1000))
    real = equality.corrupt
    monkeypatch.setattr(equality, "corrupt", lambda *a, **k: real(*a, **k) // 2 + next(calls) % 2)
    entries = list(equality.corruptions(Setting(device=torch.device("cpu"), tiny=True)))
    assert not any(entry.ok for entry in entries)


def test_distance_is_relative_to_the_largest_value() -> None:
    assert apart(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 4.0])) == 0.25


def test_kernels_are_what_ran_on_the_device_without_copies_and_calls() -> None:
    def event(key: str, count: int, device: DeviceType, annotation: bool = False) -> FunctionEventAvg:
        seen = FunctionEventAvg()
        seen.key, seen.count, seen.device_type, seen.is_user_annotation = key, count, device, annotation
        return seen

    events = [
        event("cudaLaunchKernel", 5, DeviceType.CPU),
        event("cudaDeviceSynchronize", 1, DeviceType.CPU),
        event("void at::native::vectorized_elementwise_kernel<4>", 3, DeviceType.CUDA),
        event("sm90_xmma_fprop", 2, DeviceType.CUDA),
        event("Memcpy DtoD (Device -> Device)", 7, DeviceType.CUDA),
        event("Memset (Device)", 11, DeviceType.CUDA),
        event("Optimizer.step#SGD.step", 1, DeviceType.CUDA, annotation=True),
    ]
    assert speed._kernels(events) == 5


@pytest.mark.slow
def test_the_whole_acceptance_passes_on_the_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "perf.gpu", "--device", "cpu", "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
