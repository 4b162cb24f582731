"""Names to objects, and plugins from anywhere."""

import subprocess
import sys

import pytest

from flatqat import registry
from flatqat.errors import PluginError, UsageError


def test_the_folder_is_the_registry():
    assert {"fp", "ptq", "qat", "anchor", "pretrain"} <= set(registry.names(registry.METHODS))
    assert {"lsq", "minmax"} <= set(registry.names(registry.QUANTIZERS))
    assert {"tiny", "cifar", "timm", "torchvision"} <= set(registry.names(registry.MODELS))
    assert {"digits-c", "cifar10-c", "cifar10-c-live", "cifar100-c", "cifar100-c-live"} <= set(
        registry.names(registry.SUITES)
    )


@pytest.mark.parametrize("kind", registry.KINDS, ids=lambda kind: kind.word)
def test_every_listed_name_has_a_summary(kind):
    for name, summary in registry.summaries(kind):
        assert summary.endswith((".", "`")), f"{name}: {summary!r}"


def test_unknown_names_list_the_choices_and_the_nearest():
    with pytest.raises(
        UsageError, match=r"unknown method 'anchr': expected one of .*fp.*; did you mean 'anchor'"
    ):
        registry.load(registry.METHODS, "anchr")


def test_a_plugin_file_is_loaded_by_its_name(tmp_path):
    file = tmp_path / "my_rule.py"
    file.write_text("from flatqat.methods.qat import QAT\n\n\nclass Rule(QAT): ...\n\n\nMETHOD = Rule\n")
    assert registry.add_plugin(file) == [(registry.METHODS, "my-rule")]
    assert registry.load(registry.METHODS, "my-rule").__name__ == "Rule"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import nothing_of_that_name\n", "failed to import"),
        ("import sys\nsys.exit(0)\n", "failed to import"),
        ("def f(:\n", "failed to import"),
        ("x = 1\n", "expected the file to export one of"),
        ("METHOD = 5\n", "expected METHOD to have"),
    ],
)
def test_a_broken_plugin_names_its_file(tmp_path, text, problem):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(PluginError, match=f"broken.py.*{problem}"):
        registry.add_plugin(file)


def test_an_absent_plugin_is_an_error(tmp_path):
    with pytest.raises(PluginError, match="found none"):
        registry.add_plugin(tmp_path / "absent.py")


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["bench", "run", "--help"],
        ["suites", "list"],
        ["suites", "show", "cifar10-c"],
        ["suites", "show", "cifar100-c"],
        ["methods", "list"],
        ["quantizers", "list"],
        ["models", "list"],
    ],
    ids=" ".join,
)
def test_light_commands_import_neither_torch_nor_pandas(command):
    code = (
        "import sys; from flatqat.cli import app\n"
        f"app({command!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'pandas', 'scipy', 'torchvision', 'timm', 'sklearn', 'matplotlib'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_loading_all_suites_imports_nothing_that_takes_seconds():
    code = (
        "import sys; from flatqat import registry\n"
        "for name in registry.names(registry.SUITES): registry.load(registry.SUITES, name)\n"
        "heavy = {'torch', 'torchvision', 'timm', 'pandas', 'scipy', 'sklearn', 'pyarrow', 'matplotlib'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_plugin_may_not_take_the_name_of_a_built_in(tmp_path):
    file = tmp_path / "qat.py"
    file.write_text("from flatqat.methods.qat import QAT\n\nMETHOD = QAT\n")
    with pytest.raises(PluginError, match="built-in method 'qat'"):
        registry.add_plugin(file)


def test_plugins_may_hold_dataclasses_with_postponed_annotations(tmp_path):
    file = tmp_path / "postponed.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from flatqat.methods.qat import QAT\n\n\n@dataclass\nclass D:\n    x: int = 1\n\n\nMETHOD = QAT\n"
    )
    assert registry.add_plugin(file)
