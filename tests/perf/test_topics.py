"""Every topic of `python -m perf`, without measuring: its words, and what it does without its data."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from perf import __main__ as command
from perf import corruptions, jobs, loader, one_pass, reports, startup
from perf.page import Topic, page
from perf.rounds import Row


@pytest.mark.parametrize("name", command.TOPICS)
def test_every_topic_has_rows_a_title_and_an_explanation(name: str) -> None:
    module = importlib.import_module(f"perf.{name}")
    title, _, about = module.__doc__.strip().partition("\n\n")
    assert title.endswith(".")
    assert "\n" not in title
    assert about.endswith(".")
    assert callable(module.rows)


def test_every_module_is_a_topic_or_serves_topics() -> None:
    serving = {"__init__", "__main__", "networks", "page", "peers", "rounds"}
    assert {path.stem for path in (command.ROOT / "perf").glob("*.py")} == serving | set(command.TOPICS)


def test_the_committed_page_is_that_of_the_committed_figures() -> None:
    topics = [Topic.from_dict(topic) for topic in json.loads(command.MEASURED.read_text()).values()]
    assert command.PAGE.read_text() == page(topics)


@pytest.mark.parametrize(
    ("words", "expected"), [([], 7), (["--quick"], 2), (["--rounds", "4"], 4), (["--only", "live"], 1)]
)
def test_topics_have_rounds_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], expected: int
) -> None:
    asked = {}

    def measured(name: str, rounds: int) -> Topic:
        asked[name] = rounds
        return Topic(about="A.\n\nB.", measured="", rounds=rounds, rows=[])

    monkeypatch.setattr(command, "_measured", measured)
    monkeypatch.setattr(command, "MEASURED", tmp_path / "measured.json")
    monkeypatch.setattr(command, "PAGE", tmp_path / "speed.md")
    monkeypatch.setattr(sys, "argv", ["perf", *words])
    assert command.main() == 0
    assert asked["live" if words[:1] == ["--only"] else "training"] == expected
    assert (tmp_path / "speed.md").exists() == ("--quick" not in words)


def test_corruptions_without_the_rival_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise ImportError

    monkeypatch.setattr(corruptions, "rival", absent)
    for row in corruptions.rows(1):
        assert (row.value, row.goal, row.note) == (None, "≥ 10", "imagecorruptions-imaug is not installed")


def test_a_rival_of_no_work_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean comes first, then every corruption, each against its goal."""
    monkeypatch.setattr(corruptions, "rival", lambda: lambda image, **_: None)
    monkeypatch.setattr(corruptions, "TABLES", {32: "cifar"})
    monkeypatch.setattr(corruptions, "OFFICIAL", ["brightness", "contrast"])
    mean, *each = corruptions.rows(1)
    assert (mean.name, mean.goal) == ("mean of the 2, 32 px", "≥ 10")
    assert [(row.name, row.goal) for row in each] == [
        ("brightness, 32 px", "≥ 1.2"),
        ("contrast, 32 px", "≥ 1.2"),
    ]
    assert all(row.value is not None and row.value < 1 for row in (mean, *each))


def test_one_pass_without_images_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(one_pass, "ROOT", tmp_path)
    (row,) = one_pass.rows(1)
    assert (row.value, row.goal, row.note) == (None, "≤ 1.05", "no imagenet/val in FLATQAT_DATA_ROOT")


@pytest.mark.filterwarnings("ignore:.*TorchVision:DeprecationWarning")
def test_files_are_read_as_pillow_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "COUNT", 2)
    assert [row.goal for row in loader.rows(1)] == ["≥ 1.4"] * 3
    monkeypatch.setattr(loader, "decoded", lambda paths: [0 for _ in paths])
    with pytest.raises(AssertionError, match="decoded only: expected the bytes of Pillow"):
        loader.rows(1)


def test_a_second_process_is_bound_by_the_busier_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {
        1: jobs.Times(wall=60, own_cpu=50, workers_cpu=0),
        2: jobs.Times(wall=40, own_cpu=25, workers_cpu=30),
    }
    monkeypatch.setattr(jobs, "times", runs.get)
    monkeypatch.setattr(jobs.os, "cpu_count", lambda: 2)
    wall, bound, cost = jobs.rows(1)
    assert (wall.value, wall.goal) == (1.5, "≥ 1.8")
    assert (bound.value, cost.value) == (50 / 30, 55 / 50)
    monkeypatch.setattr(jobs.os, "cpu_count", lambda: 1)
    (row,) = jobs.rows(1)
    assert (row.value, row.note) == (None, "one core here")


def test_goals_of_reports_are_those_of_many_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "fill", lambda folder, cells: None)
    monkeypatch.setattr(reports, "cost", lambda *words: (20.0, 100.0))
    assert _goals(reports.rows(2)) == {"CPU seconds": "", "peak MB": "", "ms a cell": ""}
    assert _goals(reports.rows(3)) == {"CPU seconds": "≤ 10", "peak MB": "≤ 300", "ms a cell": ""}


def test_the_memory_of_a_command_is_its_own() -> None:
    held = np.ones(2**29, np.uint8)
    _, memory = reports.cost("--version")
    assert 0 < memory < held.nbytes / 2**20 / 2


def _goals(rows: list[Row]) -> dict[str, str]:
    return {row.name.rpartition(", ")[2]: row.goal for row in rows[:3]}


def test_commands_are_those_that_a_user_types(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(startup, "run", lambda words: ran.append(list(words)))
    monkeypatch.setattr(startup, "row", lambda name, *rest, **more: Row(name=name))
    names = [row.name for row in startup.rows(1)]
    assert names == [f"`flatqat {words}` / hello world" for words in startup.GOALS]
    typed = [words[2:4] for words in ran if words[:2] == ["-m", "flatqat"]]
    assert typed[:3] == [["--help"], ["suites", "list"], ["bench", "report"]]
