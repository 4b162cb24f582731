"""The action for GitHub: its shell steps run for real on a toy suite, against two baselines."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from flatqat.bench.gate.packing import pack
from tests.helpers import ROOT, TOY
from tests.helpers.actions_runner import Runner
from tests.helpers.command_line import parse

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
    root = ElementTree.parse(runner.made / "junit.xml").getroot()
    return {case.attrib["name"]: "".join(one.tag for one in case) for case in root.iter("testcase")}


def files(runner: Runner) -> set[str]:
    return {path.name for path in runner.made.iterdir()}


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
    assert re.fullmatch(r"flatqat-Linux-X64-[\d.]+-[\w.+]+-[0-9a-f]{16}-gate-c0ffee-run-7-1", saved["key"])


def test_a_baseline_that_holds_passes(runner):
    baseline = runner.folder / "kept.json"
    baseline.write_bytes((runner.made / "baseline.json").read_bytes())
    assert runner.run(*BEFORE, baseline=str(baseline), check="--only 'i*' --max-drop 1"), runner.log
    assert runner.outputs["check"] == {"exit-code": "0"}
    assert "::notice title=flatqat bench check::fine" in runner.log
    assert "### fine: no significant drop beyond the tolerance (tolerance 1 points" in runner.summary
    assert outcomes(runner) == {"id": ""}


def test_a_second_use_in_the_job_compares_with_the_folder_of_the_first(runner):
    better = runner.made / "baseline.json"
    baseline = json.loads(better.read_text())
    (cell,) = baseline["cells"].values()
    cell |= pack("top1", {shift: np.ones(images, bool) for shift, images in cell["images"].items()})
    better.write_text(json.dumps(baseline))
    assert not runner.run(run=RUN, baseline=str(better), check="--retraining-sd 0")
    assert runner.outputs["check"] == {"exit-code": "1"}
    assert "::error title=fp%3A regressed::" in runner.log
    assert "### REGRESSED (tolerance 0.5 points" in runner.summary
    assert outcomes(runner)["ood"] == "failure"
    assert (runner.made / "check.md").read_text().startswith("### REGRESSED")


@pytest.mark.slow
def test_a_cache_brings_back_neither_an_old_baseline_nor_old_cells(tmp_path):
    """With a `cache-key` of their own, runs of several commits share the results folder."""
    runner, given = Runner(tmp_path), {"cache_key": "nets", "artifact": ""}
    assert runner.run(run=RUN.replace("0,", "0,1"), **given), runner.log
    baseline = tmp_path / "results" / "baselines" / "main.json"
    baseline.parent.mkdir()
    baseline.write_text("old")
    assert not runner.run(run=RUN, baseline=str(baseline), **given)
    baseline.write_bytes((runner.made / "baseline.json").read_bytes())
    shutil.rmtree(tmp_path / "results" / "records")
    assert runner.run(run=RUN, baseline=str(baseline), **given), runner.log
    assert len(list((tmp_path / "results" / "records").rglob("*.json"))) == 2, "the cache was restored"
    cells = json.loads((runner.made / "baseline.json").read_text())["cells"]
    assert [cell["cell"]["seed"] for cell in cells.values()] == [0]


def test_the_cache_is_that_of_the_code_of_flatqat(tmp_path):
    action = tmp_path / "action"
    (action / "flatqat" / "__pycache__").mkdir(parents=True)
    (action / "scripts").symlink_to(ROOT / "scripts")
    file, compiled = action / "flatqat" / "a.py", action / "flatqat" / "__pycache__" / "a.pyc"

    def key() -> str:
        runner = Runner(tmp_path / "job", action=action)
        assert runner.run("run", "report", "check"), runner.log
        return next(given["key"] for name, given in runner.used if "cache" in name)

    file.write_text("old")
    first = key()
    compiled.write_text("of another Python")
    assert key() == first
    file.write_text("new")
    assert key() != first


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"baseline": "gone.json"}, "gone.json"),
        ({"baseline": "any.json", "check": "--only 'i"}, """expected a command line, got "--only 'i\""""),
    ],
)
def test_an_error_stands_where_the_comparison_would(runner, given, said):
    assert not runner.run(*BEFORE, **given)
    assert runner.outputs["check"] == {"exit-code": "2"}
    text = (runner.made / "check.md").read_text()
    assert text.startswith("### flatqat bench check: exit code 2\n\n    ")
    assert said in text
    assert text in runner.summary
    assert said in runner.log


def test_arguments_that_are_no_command_line_are_one_line(runner):
    assert not runner.run("install", "report", run="--suite 'toy")
    assert 'error: arguments of flatqat bench run: expected a command line, got "--suite \'toy"' in runner.log
    assert (runner.outcomes["run"], runner.outputs["run"]) == ("failure", {"exit-code": "2"})


def test_a_command_that_cannot_be_started_is_one_line(tmp_path):
    command = [sys.executable, ROOT / "scripts" / "with_arguments.py", tmp_path / "gone"]
    env = os.environ | {"ARGUMENTS": "--all"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    expected = f"error: cannot start {tmp_path}/gone: No such file or directory\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_what_it_uses_is_pinned_to_a_major_version_and_every_input_is_described():
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = action["runs"]["steps"]
    assert all(PINNED.fullmatch(step["uses"]) for step in steps if "uses" in step)
    assert all(each["description"] for each in (*action["inputs"].values(), *action["outputs"].values()))
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert [name for name in action["inputs"] if f"inputs.{name}" not in text] == []
    for step in steps:
        assert "${{" not in step.get("run", ""), "a text of a workflow would be code"


def page() -> str:
    return (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def workflows() -> dict[str, dict]:
    """The whole workflows of the page by name; GitHub reads the key `on` as a text, YAML as true."""
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)]
    return {block["name"]: block for block in blocks if "jobs" in block}


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def ours(workflow: dict) -> list[dict]:
    return [step for step in steps(workflow) if step.get("uses", "").startswith("flatqat/flatqat@")]


def test_the_workflows_of_the_page_use_the_action_as_it_is():
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert [*workflows()] == ["Data", "Accuracy", "Renew the baseline"]
    for workflow in workflows().values():
        assert workflow.keys() == {"name", True, "permissions", "jobs"}
        assert all(step.get("uses") or step.get("run") for step in steps(workflow))
        assert all(step["with"].keys() <= action["inputs"].keys() for step in ours(workflow))
    outputs = re.findall(r"steps\.flatqat\.outputs\.([\w-]+)", page())
    assert outputs
    assert set(outputs) <= action["outputs"].keys()
    table = re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\| (`.*?) \|", page(), re.MULTILINE)))
    assert action["inputs"].keys() <= set(table), "every input is in the table"


def test_a_cache_key_of_the_page_depends_on_files_in_subfolders():
    """To GitHub, `**` within a name is `*`, which ends at a slash."""
    patterns = re.findall(r"hashFiles\('(.*?)'\)", page())
    assert patterns
    assert all("**" in pattern.split("/") for pattern in patterns)


def test_the_arguments_in_the_workflows_of_the_page_are_real():
    """And the gate runs what the baseline is made of, on the data that the first workflow caches."""
    (gate,), (renewal,) = (ours(workflows()[name]) for name in ("Accuracy", "Renew the baseline"))
    assert gate["with"] == renewal["with"]
    parse(["flatqat", "bench", "run", *shlex.split(gate["with"]["run"])])
    check = ["flatqat", "bench", "check", "--baseline", ROOT / "action.yml"]
    parse([*map(str, check), *shlex.split(gate["with"]["check"])])
    caches = [
        {key: step["with"][key] for key in ("path", "key")}
        for workflow in workflows().values()
        for step in steps(workflow)
        if "actions/cache" in step.get("uses", "")
    ]
    assert len(caches) == 3
    assert all(cache == caches[0] for cache in caches)
    assert gate["with"]["data-root"] == caches[0]["path"]


def test_the_commands_in_the_steps_of_the_page_are_real():
    blocks = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("flatqat ")]
    assert [command[1] for command in commands] == ["export", "export"]
    for command in commands:
        parse(command)


def test_the_shell_of_the_page_is_bash():
    for workflow in workflows().values():
        for step in steps(workflow):
            checked = subprocess.run(
                ["bash", "-n"], input=step.get("run", ""), text=True, capture_output=True
            )
            assert not checked.stderr
            assert "${{" not in step.get("run", "")


@pytest.mark.parametrize(("code", "allowed"), [("0", True), ("0", False), ("3", True), ("", True)])
def test_a_failed_run_or_a_refused_pull_request_leaves_no_branch(tmp_path, code, allowed):
    """The last step of the renewal, with a real git and a `gh` that GitHub allows or refuses."""
    (step,) = (
        one for one in steps(workflows()["Renew the baseline"]) if "gh pr create" in one.get("run", "")
    )
    for folder in ("bin", "made"):
        (tmp_path / folder).mkdir()
    (tmp_path / "made" / "baseline.json").write_text("{}")
    (tmp_path / "made" / "check.md").write_text("fine")
    (tmp_path / "bin" / "gh").write_text(f"#!/bin/sh\nexit {0 if allowed else 1}\n")
    (tmp_path / "bin" / "gh").chmod(0o755)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]

    def run(*command: str, folder: str = ".") -> str:
        return subprocess.run(
            command, cwd=tmp_path / folder, check=True, capture_output=True, text=True
        ).stdout

    run(*git, "init", "-q", "--bare", "origin")
    run(*git, "clone", "-q", "origin", "work")
    run(*git, "commit", "-q", "--allow-empty", "-m", "first", folder="work")
    env = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "FOLDER": str(tmp_path / "made"),
        "BRANCH": "baseline-7",
        "CODE": code,
    }
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(bash, cwd=tmp_path / "work", env=env, capture_output=True, text=True)
    branches = run("git", "branch", "--list", folder="origin")
    succeeds = code == "0" and allowed
    assert (done.returncode == 0, "baseline-7" in branches) == (succeeds, succeeds), done.stderr
    assert ("::error::" in done.stdout) is not succeeds
