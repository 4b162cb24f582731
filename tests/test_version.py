"""One version, wherever it is written."""

import json
import re
import tomllib
from importlib.metadata import distribution

import pytest
import yaml

from flatqat import __version__
from tests.helpers import ROOT


def test_the_version_of_the_installed_package_is_that_of_the_source():
    """Only where the package is installed from this checkout; a stale editable install fails."""
    installed = distribution("flatqat")
    origin = json.loads(installed.read_text("direct_url.json") or "{}").get("url")
    if origin != ROOT.as_uri():
        pytest.skip(f"flatqat is not installed from this checkout, but from {origin or 'an index'}")
    assert installed.version == __version__, "out of date: run pip install -e ."


def test_the_version_is_read_from_the_source():
    """A second number in pyproject.toml would be the one that builds use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "flatqat/__init__.py"


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__


def test_the_newest_section_of_the_changelog_is_of_this_version():
    """Before a release the section is called Unreleased and names the version that it becomes."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^(?:## \[|Next version: )(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert versions[0] == __version__


def test_commits_are_formatted_by_the_ruff_that_ci_uses():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (pinned,) = re.findall(r"'ruff==([\d.]+)'", str(project["project"]["optional-dependencies"]["dev"]))
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (ruff,) = [repo for repo in hooks["repos"] if repo["repo"].endswith("/ruff-pre-commit")]
    assert ruff["rev"] == f"v{pinned}"
