"""A composite action as GitHub's runner does it: its bash steps run, what it `uses` is noted.

The caches of results are kept, and put back over what is there, as the real ones are.

Expressions are those that `action.yml` needs: contexts, comparisons, `&&`, `||`, `!`, and whether the job
was cancelled.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from tests.helpers import ROOT

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
TOKEN = re.compile(r"\s*('[^']*'|&&|\|\||==|!=|!|\(|\)|[\w.-]+)")
PYTHON = {"&&": " and ", "||": " or ", "!": " not ", "==": "==", "!=": "!=", "(": "(", ")": ")"}
SHIMS = {
    "flatqat": 'exec "$PYTHON" -m flatqat "$@"',
    "python": 'if [ "$1 $2" = "-m pip" ]; then echo "$*" >> "$PIP_LOG"; else exec "$PYTHON" "$@"; fi',
}
"""Programs of the runner; pip only notes what it is told to install."""


@dataclass
class Runner:
    """A job in `folder` that runs one action, whose checkout is `action`.

    After `run`, `outputs` has those of each step, `used` the actions with their inputs, and `log` what was
    printed.
    """

    folder: Path
    action: Path = ROOT
    context: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    log: str = ""
    runs: int = 7

    @property
    def summary(self) -> str:
        return (self.folder / "summary").read_text(encoding="utf-8")

    @property
    def made(self) -> Path:
        """The folder with the files of the latest use."""
        return Path(self.outputs["install"]["folder"])

    def run(self, *done: str, **inputs: str) -> bool:
        """Run all steps but those `done` by an earlier run; whether none failed."""
        action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        unknown = given.keys() - action["inputs"].keys()
        assert not unknown, f"the action has no input {unknown}"
        defaults = {name: str(each["default"]) for name, each in action["inputs"].items()}
        self.context = {
            "inputs": defaults | given,
            "github": {"sha": "c0ffee", "job": "gate", "run_id": str(self.runs), "run_attempt": "1"},
            "runner": {"os": "Linux", "arch": "X64"},
        }
        self._prepare()
        self.runs += 1
        succeeded = True
        for number, step in enumerate(action["runs"]["steps"]):
            name = step.get("id", f"step-{number}")
            if name in done:
                continue
            condition = self.value(step.get("if", "true"))
            whatever = re.search(r"cancelled\(\)|always\(\)", str(step.get("if", "")))
            if not condition or not (succeeded or whatever):
                self.outcomes[name] = "skipped"
                continue
            if "uses" in step:
                given = {key: self.text(value) for key, value in step.get("with", {}).items()}
                self.used.append((step["uses"], given))
                self._cache(step["uses"], given)
                self.outputs[name] = {"cache-primary-key": given["key"]} if "key" in given else {}
                code = 0
            else:
                assert step["shell"] == "bash"
                code = self._bash(name, step)
            self.outcomes[name] = "failure" if code else "success"
            succeeded = succeeded and not code
        return succeeded

    def _prepare(self) -> None:
        bin_folder = self.folder / "bin"
        bin_folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "temp").mkdir(exist_ok=True)
        for name, line in SHIMS.items():
            (bin_folder / name).write_text(f"#!/bin/sh\n{line}\n")
            (bin_folder / name).chmod(0o755)
        for name in ("summary", "pip"):
            (self.folder / name).write_text("")
        self.log = ""

    def _cache(self, name: str, given: dict[str, str]) -> None:
        """Save the paths of a cache under its key, or restore the newest of those that it may take."""
        caches = self.folder / "caches"
        if name.startswith("actions/cache/save@"):
            for path in given["path"].split():
                if (self.folder / path).exists():
                    shutil.copytree(self.folder / path, caches / given["key"] / path, dirs_exist_ok=True)
        elif name.startswith("actions/cache/restore@") and caches.exists():
            found = [one for one in caches.iterdir() if one.name.startswith(given["restore-keys"])]
            for cache in sorted(found, key=lambda one: one.stat().st_mtime)[-1:]:
                shutil.copytree(cache, self.folder, dirs_exist_ok=True)

    def _bash(self, name: str, step: dict[str, Any]) -> int:
        output = self.folder / "output"
        output.write_text("")
        env = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "PIP_LOG": str(self.folder / "pip"),
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(self.action),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "RUNNER_TEMP": str(self.folder / "temp"),
            **{key: self.text(value) for key, value in step.get("env", {}).items()},
        }
        script = self.folder / "step.sh"
        script.write_text(self.text(step["run"]))
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300)
        self.log += done.stdout + done.stderr
        lines = output.read_text().splitlines()
        self.outputs[name] = dict(line.split("=", 1) for line in lines)
        return done.returncode

    def text(self, template: object) -> str:
        """A text with the values of its expressions."""
        return EXPRESSION.sub(lambda match: str(self.value(match[1])), str(template))

    def value(self, expression: str) -> Any:
        """The value of an expression, or of an `if` with or without braces."""
        whole = EXPRESSION.fullmatch(expression.strip())
        parts = TOKEN.findall(whole[1] if whole else expression)
        code = "".join(PYTHON.get(part) or self._operand(part) for part in parts)
        return eval(code, {"__builtins__": {}}, {"cancelled": lambda: False, "always": lambda: True})

    def _operand(self, word: str) -> str:
        if word.startswith("'") or word in ("cancelled", "always"):
            return word
        if word == "true":
            return "True"
        scope, _, rest = word.partition(".")
        if scope == "steps":
            step, kind, *name = rest.split(".")
            of_step = SimpleNamespace(outputs=self.outputs.get(step, {}), outcome=self.outcomes.get(step, ""))
            return repr(of_step.outputs.get(name[0], "") if kind == "outputs" else of_step.outcome)
        return repr(self.context[scope][rest])
