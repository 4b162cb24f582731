"""The first study fails where one of its commands does."""

from types import SimpleNamespace

import pytest

from scripts import study


@pytest.mark.parametrize(("odd", "code"), [(0, 0), (-9, 1), (3, 1)])
def test_a_command_that_fails_or_is_killed_fails_the_study(monkeypatch, odd, code):
    left = iter([0, odd, *(0 for _ in study.runs())])
    monkeypatch.setattr(study.subprocess, "run", lambda command: SimpleNamespace(returncode=next(left)))
    monkeypatch.setattr(study.sys, "argv", ["study.py", "data", "weights", "results"])
    assert study.main() == code
