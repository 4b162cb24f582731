"""What is written is true: the docs' plugins pass their checks, the README's table is the stored one."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import load
from flatqat.bench.study.page import write_study
from flatqat.testing import check_plugin
from tests.helpers import ROOT

GUIDES = sorted((ROOT / "docs").glob("adding-a-*.md"))
COMMAND = re.compile(r"^    (flatqat .*?)(?:  #.*)?$", re.MULTILINE)


def plugin_of(guide: Path, folder: Path) -> Path:
    """Write the guide's example to the file name that the guide gives it."""
    text = guide.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (name,) = re.findall(r"Save it as `(\w+\.py)`", text)
    (folder / name).write_text(code, encoding="utf-8")
    return folder / name


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from flatqat.cli import main; sys.argv = sys.argv[1:]; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *command], cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_there_is_a_guide_for_every_kind():
    assert [guide.stem for guide in GUIDES] == [
        "adding-a-method", "adding-a-model", "adding-a-quantizer", "adding-a-suite",
    ]  # fmt: skip


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_example_of_a_guide_passes_the_contract_checks(guide, tmp_path):
    outcomes = list(check_plugin(plugin_of(guide, tmp_path)))
    assert outcomes
    assert not [outcome for outcome in outcomes if outcome[1]]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_commands_of_a_guide_run(guide, tmp_path):
    """Training runs are only planned."""
    plugin_of(guide, tmp_path)
    commands = [shlex.split(text) for text in COMMAND.findall(guide.read_text(encoding="utf-8"))]
    assert len(commands) == 2
    for command in commands:
        done = run(command + (["--dry-run"] if "run" in command else []), tmp_path)
        assert done.returncode == 0, done.stderr


def test_the_commands_of_the_readme_exist():
    """Every command line of the README parses: its options are those of `--help`."""
    commands = {
        " ".join(words[1:3] if words[1] in GROUPS else words[1:2]): set() for words in readme_commands()
    }
    for words in readme_commands():
        name = " ".join(words[1:3] if words[1] in GROUPS else words[1:2])
        commands[name] |= {word for word in words if word.startswith("--")}
    for name, options in commands.items():
        text = run(["flatqat", *name.split(), "--help"], ROOT).stdout
        for option in options:
            assert option in text, f"{name} has no {option}"


GROUPS = ("bench", "suites", "methods", "quantizers", "models")


def readme_commands() -> list[list[str]]:
    return [shlex.split(text) for text in COMMAND.findall((ROOT / "README.md").read_text(encoding="utf-8"))]


def test_the_table_of_the_readme_is_the_stored_one():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "readme.py", "--check"], timeout=120)
    assert done.returncode == 0, "out of date: run python scripts/readme.py"


STUDY = re.compile(
    r"^    flatqat bench report --format study --against (\S+) --suite (\S+) --results (\S+) ", re.MULTILINE
)


def studies() -> list[tuple[Path, str, str, Path]]:
    """Every page of a study with its baseline, its suite and its results."""
    found = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        if match := STUDY.search(page.read_text(encoding="utf-8")):
            found.append((page, match[1], match[2], ROOT / match[3]))
    return found


def test_the_pages_of_studies_are_those_of_their_records(tmp_path):
    """To the byte. The picture beside a page hangs on the version of matplotlib and has only to be there."""
    assert ROOT / "docs" / "study.md" in [page for page, *_ in studies()]
    for page, against, suite, results in studies():
        store = Store(results)
        write_study(load(store, suite), store, against, tmp_path / page.name)
        name = page.relative_to(ROOT)
        options = f"--against {against} --suite {suite} --results {results}"
        again = f"flatqat bench report --format study {options} --output {name}"
        assert page.read_bytes() == (tmp_path / page.name).read_bytes(), f"out of date: run {again}"
        assert page.with_suffix(".svg").exists() == (tmp_path / page.name).with_suffix(".svg").exists()


def test_ci_runs_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"grep -m1 -F -- '(.*?)' README\.md", script)
    found = [
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if pattern in line
    ]
    assert len(found) == 1
    assert found[0].startswith("python3 -m venv .venv && ")


def test_the_project_speaks_of_itself_alone():
    """No path of any machine, and nothing left for nobody."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml"], cwd=ROOT, capture_output=True, text=True
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in tracked.stdout.split():
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"\b(?:TO" r"DO|FIX" r"ME)\b|(?<![\w.])/(?:home|root|Users)/", text), name
