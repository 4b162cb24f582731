"""`import flatqat`: it loads nothing, and every name that it offers comes from where it is defined."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import flatqat
from tests.helpers import ROOT

HEAVY = ("torch", "pandas", "scipy", "sklearn", "matplotlib", "typer", "numpy")
LIGHT = (
    "flatqat.bench.plan.request",
    "flatqat.errors",
    "flatqat.finding",
    "flatqat.spec",
    "flatqat.suite",
)


def for_type_checkers() -> dict[str, list[tuple[str, str]]]:
    """Module to (name here, name there), as the block under TYPE_CHECKING says."""
    tree = ast.parse(Path(flatqat.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    return {
        node.module: [(alias.asname or alias.name, alias.name) for alias in node.names]
        for node in imports
        if node.module and node.module.startswith("flatqat.")
    }


MODULES = for_type_checkers()


def interpreter(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)


def importing(names: list[str]) -> str:
    """Code that prints what is loaded of `HEAVY` after names are imported from flatqat."""
    lines = ["import sys", *(f"from flatqat import {name}" for name in names)]
    return "\n".join([*lines, f"print(*[name for name in {HEAVY} if name in sys.modules])"])


def test_type_checkers_and_the_interpreter_are_told_the_same():
    lazy = {
        module: [(here, there or here) for here, _, there in (text.partition("=") for text in names.split())]
        for module, names in flatqat._MODULES.items()
    }
    assert lazy == MODULES
    offered = [here for names in MODULES.values() for here, _ in names]
    assert sorted([*offered, "__version__"]) == flatqat.__all__


def test_importing_flatqat_loads_nothing_heavy():
    assert interpreter("import sys; import flatqat\n" + importing([])).stdout == "\n"


@pytest.mark.parametrize("module", LIGHT)
def test_values_and_requests_load_nothing_heavy(module):
    done = interpreter(importing([here for here, _ in MODULES[module]]))
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr or f"{module} loads {done.stdout}"


def test_every_name_is_the_one_of_its_module():
    """In a fresh interpreter, where no name has been imported before."""
    names = [here for imported in MODULES.values() for here, _ in imported]
    assert interpreter(importing(names)).returncode == 0
    for module, imported in MODULES.items():
        for here, there in imported:
            assert getattr(flatqat, here) is getattr(import_module(module), there)


def test_an_unknown_name_is_the_usual_error():
    with pytest.raises(AttributeError, match="module 'flatqat' has no attribute 'Nonsense'"):
        flatqat.Nonsense  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Nonsense' from 'flatqat'"):
        exec("from flatqat import Nonsense")


def test_completion_shows_every_name():
    assert set(flatqat.__all__) <= set(dir(flatqat))


def test_submodules_keep_their_names():
    """`import flatqat.quant` sets an attribute of the package, which would hide an object of that name."""
    folder = Path(flatqat.__file__).parent
    submodules = {path.stem for path in folder.iterdir() if path.suffix in ("", ".py")}
    assert not submodules & set(flatqat.__all__)
