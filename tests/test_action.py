"""The action for GitHub: its shell steps run for real on a toy suite, against two baselines."""

import json
import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from flatqat.bench.gate.packing import pack
from tests.helpers import ROOT, TOY
from tests.helpers.actions_runner import Runner

RUN = f"--plugin '{TOY}' --suite toy --method fp --seeds 0, --set recipe.pretrain_steps=4 --no-flatness"
BEFORE = ("install", "run", "report")
PINNED = re.compile(r"actions/[\w/-]+@v\d+")


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    """A job that has run the action once, without a baseline."""
    runner = Runner(tmp_path_factory.mktemp("job"))
    assert runner.run(run=RUN, packages="-r 'a file.txt'", extras="zoo"), runner.log
    return runner


def outcomes(runner: Runner) -> dict[str, str]:
    """What JUnit says of each row."""
    root = ElementTree.parse(runner.folder / "temp" / "flatqat" / "junit.xml").getroot()
    return {case.attrib["name"]: "".join(one.tag for one in case) for case in root.iter("testcase")}


def files(runner: Runner) -> set[str]:
    return {path.name for path in (runner.folder / "temp" / "flatqat").iterdir()}


def test_without_a_baseline_it_runs_reports_and_offers_one(runner):
    assert (runner.outcomes["run"], runner.outcomes["check"]) == ("success", "skipped")
    assert files(runner) >= {"report.md", "baseline.json"}
    pip = (runner.folder / "pip").read_text().splitlines()
    assert pip[0].startswith("-m pip install torch torchvision --index-url https://")
    assert pip[1] == f"-m pip install {ROOT}[zoo] -r a file.txt"
    assert "| method" in runner.summary
    assert [name for name, _ in runner.used] == [
        "actions/setup-python@v6",
        "actions/cache/restore@v5",
        "actions/cache/save@v5",
        "actions/upload-artifact@v6",
    ]
    (restored, saved) = (given for name, given in runner.used if "cache" in name)
    assert {**saved, "restore-keys": saved["key"].removesuffix("7-1")} == restored
    assert re.fullmatch(r"flatqat-Linux-X64-[\d.]+-[\w.+]+-gate-c0ffee-run-7-1", saved["key"])


def test_a_baseline_that_holds_passes(runner):
    baseline = runner.folder / "kept.json"
    baseline.write_bytes((runner.folder / "temp" / "flatqat" / "baseline.json").read_bytes())
    assert runner.run(*BEFORE, baseline=str(baseline), check="--only 'i*' --max-drop 1"), runner.log
    assert runner.outputs["check"] == {"exit-code": "0"}
    assert "::notice title=flatqat bench check::fine" in runner.log
    assert "### fine: nothing dropped beyond doubt (tolerance 1 points" in runner.summary
    assert outcomes(runner) == {"id": ""}


def test_a_baseline_that_was_better_fails(runner):
    baseline = json.loads((runner.folder / "temp" / "flatqat" / "baseline.json").read_text())
    (cell,) = baseline["cells"].values()
    cell |= pack("top1", {shift: np.ones(images, bool) for shift, images in cell["images"].items()})
    better = runner.folder / "better.json"
    better.write_text(json.dumps(baseline))
    assert not runner.run(*BEFORE, baseline=str(better), check="--retraining-sd 0")
    assert runner.outputs["check"] == {"exit-code": "1"}
    assert "::error title=fp%3A regressed::" in runner.log
    assert "### REGRESSED (tolerance 0.5 points" in runner.summary
    assert outcomes(runner)["noise"] == "failure"
    assert (runner.folder / "temp" / "flatqat" / "check.md").read_text().startswith("### REGRESSED")


def test_a_cache_brings_back_neither_an_old_baseline_nor_old_cells(tmp_path):
    """With a `cache-key` of their own, runs of several commits share the results folder."""
    runner, given = Runner(tmp_path), {"cache_key": "nets", "artifact": ""}
    assert runner.run(run=RUN.replace("0,", "0,1"), **given), runner.log
    baseline = tmp_path / "results" / "baselines" / "main.json"
    baseline.parent.mkdir()
    baseline.write_text("old")
    assert not runner.run(run=RUN, baseline=str(baseline), **given)
    baseline.write_bytes((tmp_path / "temp" / "flatqat" / "baseline.json").read_bytes())
    shutil.rmtree(tmp_path / "results" / "records")
    assert runner.run(run=RUN, baseline=str(baseline), **given), runner.log
    assert len(list((tmp_path / "results" / "records").rglob("*.json"))) == 2, "the cache was restored"
    cells = json.loads((tmp_path / "temp" / "flatqat" / "baseline.json").read_text())["cells"]
    assert [cell["cell"]["seed"] for cell in cells.values()] == [0]


def test_an_error_stands_where_the_comparison_would(runner):
    assert not runner.run(*BEFORE, baseline="gone.json")
    assert runner.outputs["check"] == {"exit-code": "2"}
    text = (runner.folder / "temp" / "flatqat" / "check.md").read_text()
    assert text.startswith("### flatqat bench check: exit code 2\n\n    ")
    assert "gone.json" in text
    assert text in runner.summary
    assert "gone.json" in runner.log


def test_arguments_that_are_no_command_line_are_one_line(runner):
    assert not runner.run("install", "report", run="--suite 'toy")
    assert 'error: arguments of flatqat bench run: expected a command line, got "--suite \'toy"' in runner.log
    assert runner.outcomes["run"] == "failure"


def test_what_it_uses_is_pinned_to_a_major_version_and_every_input_is_described():
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = action["runs"]["steps"]
    assert all(PINNED.fullmatch(step["uses"]) for step in steps if "uses" in step)
    assert all(each["description"] for each in (*action["inputs"].values(), *action["outputs"].values()))
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert [name for name in action["inputs"] if f"inputs.{name}" not in text] == []
    for step in steps:
        assert "${{" not in step.get("run", ""), "a text of a workflow would be code"


def test_the_workflows_of_the_page_use_the_action_as_it_is():
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    workflows = [block for block in blocks if "jobs" in block]
    assert len(workflows) == 2
    steps = [step for each in workflows for job in each["jobs"].values() for step in job["steps"]]
    ours = [step for step in steps if step.get("uses", "").startswith("flatqat/flatqat@")]
    assert len(ours) == 2
    assert all(step["with"].keys() <= action["inputs"].keys() for step in ours)
    outputs = re.findall(r"steps\.flatqat\.outputs\.([\w-]+)", page)
    assert outputs
    assert set(outputs) <= action["outputs"].keys()
    table = re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    assert action["inputs"].keys() <= set(table), "every input is in the table"
