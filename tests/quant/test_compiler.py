"""How kernels for a CPU are compiled, kept and trusted, and what happens where they cannot be."""

import subprocess
import tempfile

import pytest
import torch

from flatqat.quant.kernels import compiled, dispatch, fused
from flatqat.quant.kernels.rule import Grid, Rule
from flatqat.quant.ops import fake_quantize
from tests.helpers.kernels import needs_compiler, random


@needs_compiler
def test_sums_do_not_depend_on_the_width_of_vectors(monkeypatch, tmp_path):
    v, grad, scale = random(3, 5000), random(3, 5000, seed=1), torch.tensor([[0.1], [0.2], [0.3]])
    grid, native = Grid(v, scale, 0.1 * scale, Rule(-8, 7, factor=0.25)), compiled.kernels()
    wanted = dispatch.vjp(grid, grad)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled, "ATTEMPTS", ((),))  # for the oldest processor of this kind
    plain = compiled.kernels.__wrapped__()
    assert plain._name != native._name
    monkeypatch.setattr(compiled, "kernels", lambda: plain)
    assert all(map(torch.equal, dispatch.vjp(grid, grad), wanted))


@needs_compiler
def test_the_library_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.kernels.__wrapped__() is not None
    (made,) = (tmp_path / "flatqat").iterdir()
    assert made.suffix == ".so"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("compiled again"))
    assert compiled.kernels.__wrapped__() is not None


@needs_compiler
def test_a_cache_that_cannot_be_written_costs_the_cache_only(monkeypatch, tmp_path):
    """Nor does it leave a file behind: workers end without what is done at the exit of others."""
    (tmp_path / "flatqat").write_text("a file where the folder would be")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert compiled.kernels.__wrapped__() is not None
    assert not list((tmp_path / "temporary").iterdir())


@needs_compiler
def test_a_library_that_was_cut_short_is_compiled_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled.kernels.__wrapped__()
    (made,) = (tmp_path / "flatqat").iterdir()
    whole = made.read_bytes()
    made.unlink()  # the process has mapped this file
    made.write_bytes(whole[: len(whole) // 2])
    calls = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: calls.append(a) or run(*a, **k))
    assert compiled.kernels.__wrapped__() is not None
    assert len(calls) == 1


@needs_compiler
def test_a_compiler_that_hangs_is_waited_for_once(monkeypatch, tmp_path):
    calls = []

    def hang(*_, **__):
        calls.append(1)
        raise subprocess.TimeoutExpired("c++", 1)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", hang)
    assert compiled.kernels.__wrapped__() is None
    assert len(calls) == 1


@needs_compiler
def test_kernels_that_cannot_run_are_not_used(monkeypatch):
    def fails(*_):
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(compiled, "levels", fails)
    assert fused.fused_kernels.__wrapped__("cpu") is None


@pytest.mark.parametrize("named", ["", "no-such-compiler", "false"])
def test_without_a_compiler_the_numbers_are_the_same(named, monkeypatch, tmp_path):
    v, scale = random(40, 64, 64), torch.tensor(0.1)
    wanted = fake_quantize(v, scale, -8, 7)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FLATQAT_COMPILER", named)
    monkeypatch.setattr(compiled, "kernels", compiled.kernels.__wrapped__)
    monkeypatch.setattr(fused, "fused_kernels", fused.fused_kernels.__wrapped__)
    monkeypatch.setattr(dispatch, "fused_kernels", fused.fused_kernels)
    assert fused.fused_kernels("cpu") is None
    assert torch.equal(fake_quantize(v, scale, -8, 7), wanted)
    assert not list(tmp_path.rglob("*.so"))


@needs_compiler
def test_kernels_that_differ_from_the_formulas_are_not_used(monkeypatch):
    assert fused.agrees(compiled, "cpu")
    plain = compiled.levels
    monkeypatch.setattr(compiled, "levels", lambda *given: plain(*given).nextafter(torch.tensor(torch.inf)))
    assert fused.fused_kernels.__wrapped__("cpu") is None
