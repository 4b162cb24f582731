"""Names to objects, and plugins from anywhere."""

import re
import subprocess
import sys

import pytest
import torch

from flatqat import registry
from flatqat.bench.plan.of_method import step_multiplier
from flatqat.bench.plan.own_code import code_hash
from flatqat.errors import PluginError, UsageError
from flatqat.spec import Recipe
from flatqat.testing import _line_of
from tests.helpers import RESULTS, TOY
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.forbidden import forbid
from tests.helpers.plugins import plugins_removed


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


@pytest.mark.parametrize("kind", registry.KINDS, ids=lambda kind: kind.word)
def test_an_unknown_name_may_be_that_of_a_plugin(kind):
    with pytest.raises(UsageError, match=rf"; a {kind.word} of your own needs --plugin FILE$"):
        registry.load(kind, "nothing")


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
        ("class Rule: ...\n\n\nMETHOD = Rule\n", "be a subclass of Method, got the class Rule"),
        ("SUITE = 'toy'\n", "expected SUITE to be a Suite, got 'toy'"),
        ("METHOD = 5\n", "expected METHOD to be a subclass of Method, got 5"),
    ],
)
def test_a_broken_plugin_names_its_file(tmp_path, text, problem):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(PluginError, match=f"broken.py.*{problem}"):
        registry.add_plugin(file)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ("shifts=()", "expected 'id' as the first shift, got no shift"),
        ("shifts=SUITE.shifts[1:]", "expected 'id' as the first shift, got noise/1"),
        (
            "shifts=(*SUITE.shifts, SUITE.shifts[1])",
            "a name of its own for each shift .*, got noise/1 more than",
        ),
        ("shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], name='val'))", "got val more than once"),
        ("recipes={}", "expected at least one recipe, got none"),
        ("metric='top2'", "expected the metric 'top1' for classification, got 'top2'"),
        ("task='clasification'", "unknown task 'clasification': .*did you mean 'classification'"),
        ("shifts=(replace(SUITE.shifts[0], groups=((0,), ())),)", "groups with members in id, got an empty"),
        ("shifts=(replace(SUITE.shifts[0], groups=((0,), (0,))),)", "disjoint groups in id, got a shared"),
        ("shifts=(replace(SUITE.shifts[0], groups=((4,),)),)", "classes from 0 to 3 in the groups of id"),
        (
            "shifts=(replace(SUITE.shifts[0], class_subset=(1, 4)),)",
            "classes from 0 to 3 in the class_subset",
        ),
        ("version='1'", "expected version to be a whole number, got '1'"),
        ("version=True", "expected version to be a whole number, got True"),
        ("protocol=None", "expected protocol to be a text, got None"),
        ("classes='4'", "expected classes to be a whole number, got '4'"),
        ("class_names=(1, 2, 3, 4)", "expected class_names to be a tuple, each of it a text, got"),
        ("class_names=('a', 'b')", "expected a class name for each of 4 classes, got 2"),
        ("recipes={'default': {'steps': 1}}", "recipes to be a dict, each value a Recipe, got a dict"),
        ("normalizer='nosuch'", "expected one of alexnet as normalizer, got 'nosuch'"),
        ("baseline='nosuch'", "as baseline, got 'nosuch'"),
        ("shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], severity='3'))", "severity to be a whole number"),
        ("shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], image_set=None))", "image_set to be a text"),
        (
            "shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], in_mean=1))",
            "in_mean to be True or False, got 1",
        ),
        ("shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], weights='best'))", "weights to be 'selected' or"),
        ("shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], name='a@b'))", "a name of up to 100 .*got 'a@b'"),
        (
            "shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], name='a//b'))",
            "a name of up to 100 ASCII letters",
        ),
        (
            "shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], name='x' * 101))",
            "a name of up to 100 ASCII letters",
        ),
        ("shifts=(SUITE.shifts[0], replace(SUITE.shifts[1], name='x\\ud800'))", r"got 'x\\ud800'"),
    ],
)
def test_a_suite_that_no_cell_could_be_scored_with_is_refused_with_its_line(tmp_path, changes, problem):
    text = TOY.read_text() + f"\nfrom dataclasses import replace\nSUITE = replace(SUITE, {changes})\n"
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(
        PluginError, match=rf"mine\.py failed to import: .*{problem}.*\(.*mine\.py:{len(text.splitlines())} "
    ):
        registry.add_plugin(tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("class Config:\n    x: int = 1\n", "got none; put @dataclass"),
        ("class Config(Calibration):\n    x: int = 1\n", "got none; put @dataclass"),
        ("@dataclass\nclass Config:\n    x: int = 1\n", "got one without frozen=True"),
        ("@dataclass(frozen=True)\nclass Config:\n    x: int\n", "got none for x"),
    ],
)
def test_settings_that_no_cell_could_be_made_with_are_refused(tmp_path, config, problem):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom flatqat import Calibration, Method\n\n\n"
        f"{config}\n\nclass Mine(Method):\n    Config = Config\n\n\nMETHOD = Mine\n"
    )
    with pytest.raises(
        PluginError, match=rf"mine\.py failed to import: Mine: expected Config to be .*{problem}"
    ):
        registry.add_plugin(tmp_path / "mine.py")


@pytest.mark.parametrize(
    "kind", ["tuple[int, ...]", "list[float]", "Path", "complex", "Any", "int | str", "Literal[1, 2]", "None"]
)
def test_settings_that_no_text_stands_for_are_refused(tmp_path, kind):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom pathlib import Path\nfrom typing import Any, Literal\n"
        "from flatqat import Calibration, Method\n\n\n@dataclass(frozen=True)\nclass Config(Calibration):\n"
        f"    sizes: {kind} = None\n\nclass Mine(Method):\n    Config = Config\n\n\nMETHOD = Mine\n"
    )
    said = "expected settings that are bool, int, float, str or a Literal of texts, or one of these or None"
    with pytest.raises(PluginError, match=f"{said}, got another type of sizes"):
        registry.add_plugin(tmp_path / "mine.py")


@pytest.mark.parametrize(
    "how", [("bench", "run", "--suite", "mine", "--dry-run"), ("suites", "verify", "mine")]
)
def test_a_suite_whose_check_of_the_data_fails_is_refused_with_its_line(flatqat, tmp_path, how):
    text = TOY.read_text().replace('name="toy"', 'name="mine"').replace("[Finding(", "[1 / 0, Finding(")
    (tmp_path / "mine.py").write_text(text)
    said = (
        r"suite mine: expected findings of verify, got: ZeroDivisionError: .* \(.*mine\.py:\d+ in <lambda>\)"
    )
    assert_one_line_error(flatqat(*how, "--plugin", tmp_path / "mine.py"), said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("missing_shifts=lambda root: 1 / 0", "names from missing_shifts, got: ZeroDivisionError"),
        ("missing_shifts=lambda root: None", "names from missing_shifts, got None"),
        ("untrainable_reason=lambda root: exit(0)", "a text from untrainable_reason, got: SystemExit"),
        ("untrainable_reason=lambda root: None", "a text from untrainable_reason, got None"),
        ("verify=lambda root: ['x']", "findings of verify, got \\['x'\\]"),
    ],
)
def test_a_function_of_a_suite_that_fails_is_refused_with_its_line(tmp_path, changes, said):
    text = TOY.read_text() + f"\nfrom dataclasses import replace\nSUITE = replace(SUITE, {changes})\n"
    (tmp_path / "mine.py").write_text(text.replace('name="toy"', 'name="mine"'))
    with plugins_removed():
        registry.add_plugin(tmp_path / "mine.py")
        suite = registry.load(registry.SUITES, "mine")
        with pytest.raises(
            PluginError, match=rf"suite mine: expected {said}.*mine\.py:{text.count(chr(10))}"
        ):
            assert suite.lacks(None) + str(suite.on_disk(None).findings(None))


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("version = '1'", "version to be a whole number, got '1'"),
        ("version = 1.5", "version to be a whole number, got 1.5"),
        ("parent = 3", "parent to be a text or None, got 3"),
        ("quantizes = 'no'", "quantizes to be True or False, got 'no'"),
    ],
)
def test_an_attribute_of_a_wrong_kind_is_refused_with_the_line_of_its_class(tmp_path, attribute, said):
    (tmp_path / "mine.py").write_text(
        f"from flatqat import Method\n\n\nclass Mine(Method):\n    {attribute}\n\n\nMETHOD = Mine\n"
    )
    with pytest.raises(PluginError, match=rf"expected METHOD\.{said} \(.*mine\.py:4\)"):
        registry.add_plugin(tmp_path / "mine.py")


def test_a_quantizer_that_learns_in_no_role_is_refused(flatqat, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from flatqat import Quantizer\n\n\nclass Mine(Quantizer):\n    learns_scale = True\n"
        "    learning_roles = None\n\n\nQUANTIZER = Mine\n"
    )
    done = flatqat("quantizers", "show", "mine", "--plugin", tmp_path / "mine.py")
    assert_one_line_error(
        done, r"expected QUANTIZER\.learning_roles to be a tuple.*, got None \(.*mine\.py:4\)"
    )


def test_methods_that_start_from_each_other_are_refused(flatqat, tmp_path):
    plugins = []
    for name, parent in (("one", "two"), ("two", "one")):
        plugins += ["--plugin", tmp_path / f"{name}.py"]
        plugins[-1].write_text(
            f"from flatqat import Method\n\n\nclass M(Method):\n    parent = '{parent}'\n\n\nMETHOD = M\n"
        )
    done = flatqat("bench", "run", "--method", "one", "--dry-run", *plugins)
    assert_one_line_error(done, r"expected a parent that .* got one from two from one \(.*one\.py:4\)")


RECIPE = Recipe(pretrain_steps=4, steps=2, batch_size=8, lr=0.02)


@pytest.mark.parametrize("hook", ["steps", "passes_with", "images_to_begin"])
@pytest.mark.parametrize(
    ("body", "got"), [("1 / 0", "got: ZeroDiv"), ("exit(0)", "got: SystemExit"), ("return None", "got None")]
)
def test_a_number_that_a_method_does_not_give_is_refused_with_its_line(tmp_path, hook, body, got):
    (tmp_path / "mine.py").write_text(
        f"from flatqat import Method\n\n\nclass Mine(Method):\n    @classmethod\n"
        f"    def {hook}(cls, *args):\n        {body}\n\n\nMETHOD = Mine\n"
    )
    with plugins_removed():
        registry.add_plugin(tmp_path / "mine.py")
        with pytest.raises(
            PluginError, match=rf"mine: expected a whole number from {hook}, {got}.*mine\.py:[57]"
        ):
            step_multiplier("mine", None, RECIPE, 1)


def model_of(tmp_path, change):
    """The file of a source of models that is `tiny` but for a change."""
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\nfrom torch import nn\n"
        "from flatqat.models.tiny import MODEL as TINY\n"
        f"MODEL = replace(TINY, {change})\n"
    )
    return tmp_path / "mine.py"


@pytest.mark.parametrize("hook", ["names", "build", "files", "pretrained", "adapt"])
@pytest.mark.parametrize(
    ("answer", "got"),
    [
        ("1 / 0", "got: ZeroDivisionError"),
        ("exit(0)", "got: SystemExit"),
        ("None", "got None"),
        ("nn.Linear(1, 1)", "got a Linear"),
    ],
)
def test_a_function_of_a_model_that_fails_is_refused_with_its_line(tmp_path, hook, answer, got):
    from flatqat.models import base

    def use():
        base.pretrained("mine") if hook == "pretrained" else base.code_files("mine")
        base.load_initial_(base.build("mine", classes=3, seed=0), "mine", weights)

    weights = tmp_path / "weights.pt"
    torch.save(base.build("tiny", classes=3, seed=0).net.state_dict(), weights)
    with plugins_removed():
        registry.add_plugin(model_of(tmp_path, f"{hook}=lambda *args: {answer}"))
        with pytest.raises(PluginError, match=rf"model mine: expected .* from {hook}, {got}.*mine\.py:4"):
            use()


def test_a_file_of_a_model_that_is_not_there_is_named_with_the_line(tmp_path):
    from flatqat.models import base

    file = model_of(tmp_path, "files=lambda name: [__import__('pathlib').Path('gone.py')]")
    with plugins_removed():
        registry.add_plugin(file)
        with pytest.raises(PluginError, match=r"got none at gone\.py \(.*mine\.py:4\); fix the plugin"):
            base.code_files("mine")


def test_a_model_without_weights_of_its_own_is_not_trained_from_random_ones(flatqat, tmp_path):
    file = model_of(tmp_path, "pretrained=lambda name: None")
    done = flatqat("bench", "run", "--model", "mine", "--pretrained", "--dry-run", "--plugin", file)
    assert_one_line_error(done, r"model mine: expected the path of a file from pretrained, got None")


def test_models_are_listed_without_a_plugin_that_fails(flatqat, tmp_path):
    done = flatqat("models", "list", "*i*", "--plugin", model_of(tmp_path, "names=lambda: 1 / 0"))
    assert "tiny" in done.out
    assert "mine: models left out, since model mine: expected texts from names" in done.err


def test_the_doctor_names_a_broken_suite_and_goes_on(flatqat, monkeypatch):
    class Point:
        value = "package:SUITE"

        def load(self):
            raise ImportError("no such module")

    monkeypatch.setattr(
        registry, "_entry_points", lambda kind: {"aaa": Point()} if kind == registry.SUITES else {}
    )
    done = flatqat("doctor")
    assert done.code == 0
    assert re.search(
        r"^aaa +broken: suite 'aaa' \(package:SUITE\) failed to load: ImportError", done.out, re.M
    )
    assert re.search(r"^digits-c +data ok", done.out, re.M)


def test_files_of_one_stem_leave_each_other_alone(flatqat, tmp_path):
    """Their annotations are looked up, and their docstrings read, in the module of each."""
    files = []
    for name, head in (
        (
            "first",
            '"""The first rule."""\nfrom __future__ import annotations\nfrom typing import Annotated\n',
        ),
        ("second", '"""The second rule."""\n'),
    ):
        hint = "Annotated[float, AtLeast(0)]" if "Annotated" in head else "float"
        files += ["--plugin", tmp_path / name / "plugin.py"]
        files[-1].parent.mkdir()
        files[-1].write_text(
            f"{head}from dataclasses import dataclass\nfrom flatqat import AtLeast, Calibration, Method\n\n\n"
            f"@dataclass(frozen=True)\nclass Config(Calibration):\n    level: {hint} = 0.1\n\n\n"
            f"class Mine(Method):\n    name = '{name}'\n    Config = Config\n\n\nMETHOD = Mine\n"
        )
    for name in ("first", "second"):
        done = flatqat("methods", "show", name, *files)
        assert (done.code, done.err) == (0, "")
        assert f"The {name} rule." in done.out


@pytest.mark.parametrize("codec", ["utf-8-sig", "latin-1"])
def test_a_plugin_is_read_in_the_encoding_that_python_reads_it_in(tmp_path, codec):
    """A byte order mark, or a line that names the encoding: listing and `flatqat test` read it as well."""
    text = '# coding: latin-1\n"""Clipped à la Pascanu."""\n'
    text = text.removeprefix("# coding: latin-1\n" * (codec == "utf-8-sig"))
    text += "from flatqat.methods.qat import QAT\n\n\nclass Rule(QAT): ...\n\n\nMETHOD = Rule\n"
    file = tmp_path / "clipped.py"
    file.write_bytes(text.encode(codec))
    registry.add_plugin(file)
    assert dict(registry.summaries(registry.METHODS))["clipped"] == "Clipped à la Pascanu."
    assert _line_of("Rule", file) == text[: text.index("class")].count("\n") + 1


def test_a_plugin_that_may_not_be_read_is_an_error(tmp_path, monkeypatch):
    file = tmp_path / "closed.py"
    file.write_text("x = 1\n")
    forbid(file, monkeypatch)
    said = r"closed\.py: expected a file that can be read, got: Permission denied; check its permissions"
    with pytest.raises(PluginError, match=said):
        registry.add_plugin(file)


def test_an_absent_plugin_is_an_error(tmp_path):
    with pytest.raises(PluginError, match="got none"):
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


@pytest.mark.parametrize(
    ("form", "view", "template"),
    [*((form, view, "") for form in ("table", "md", "latex") for view in ("method", "family")),
     ("html", "method", "jinja2")],
)  # fmt: skip
def test_tables_are_made_without_pandas(form, view, template):
    command = ["bench", "report", "--results", str(RESULTS / "first-look"), "--by", view, "--format", form]
    code = (
        "import sys; from flatqat.cli import app\n"
        f"app({command!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'pandas', 'scipy.stats', 'sklearn', 'matplotlib', 'pyarrow', 'jinja2'}\n"
        f"heavy &= set(sys.modules) - {{{template!r}}}\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "anchor" in done.stdout


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


SUITE = """
from dataclasses import replace
from flatqat import registry

SUITE = replace(registry.load(registry.SUITES, "digits-c"), name="my-digits")
"""


def test_a_wrong_setting_of_a_plugin_is_called_by_the_name_of_its_method(tmp_path):
    path = tmp_path / "my_method.py"
    path.write_text(
        "from dataclasses import dataclass\nfrom typing import Annotated\n"
        "from flatqat import AtLeast, Calibration, Method\n"
        "@dataclass(frozen=True, slots=True, kw_only=True)\n"
        "class Config(Calibration):\n    level: Annotated[float, AtLeast(0)] = 0.1\n"
        "class Mine(Method):\n    Config = Config\n"
        "METHOD = Mine\n"
    )
    with pytest.raises(UsageError, match=r"^my-method\.level: expected at least 0, got -1\.0$"):
        registry.import_file(path).METHOD.Config(level=-1.0)


def test_what_has_a_name_is_called_by_it(tmp_path):
    (tmp_path / "plugin_of_mine.py").write_text(SUITE)
    (tmp_path / "another.py").write_text(
        "from flatqat.methods.qat import QAT\n\n\nclass Rule(QAT):\n    name = 'gentle'\n\n\nMETHOD = Rule\n"
    )
    assert registry.add_plugin(tmp_path / "plugin_of_mine.py") == [(registry.SUITES, "my-digits")]
    assert registry.load(registry.SUITES, "my-digits").name == "my-digits"
    assert registry.add_plugin(tmp_path / "another.py") == [(registry.METHODS, "gentle")]
    assert "another" not in registry.names(registry.METHODS)
    assert dict(registry.summaries(registry.METHODS))["gentle"] == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits-c", "got that of the built-in suite 'digits-c'; change its name"),
        ("", "letters, digits, _, - and ., got ''"),
        ("../out", "letters, digits, _, - and ., got '../out'"),
        ("a@b", "got 'a@b'"),
        ("x" * 101, "up to 100 letters"),
    ],
)
def test_names_that_a_plugin_may_not_have(tmp_path, name, said):
    (tmp_path / "mine.py").write_text(SUITE.replace("my-digits", name))
    with pytest.raises(PluginError, match=said):
        registry.add_plugin(tmp_path / "mine.py")


def test_two_files_may_not_have_one_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(SUITE)
    registry.add_plugin(tmp_path / "a" / "mine.py")
    registry.add_plugin(tmp_path / "a" / "mine.py")
    with pytest.raises(
        PluginError, match=r"b/mine\.py: expected a new name, got that of 'my-digits' in .*a/mine"
    ):
        registry.add_plugin(tmp_path / "b" / "mine.py")


def test_an_installed_plugin_has_the_name_of_its_entry_point(monkeypatch):
    class Point:
        value = "package:SUITE"

        def load(self):
            return registry.load(registry.SUITES, "digits-c")

    monkeypatch.setattr(registry, "_entry_points", lambda kind: {"mine": Point()})
    with pytest.raises(PluginError, match="entry point with the name of the suite, 'digits-c'"):
        registry.load(registry.SUITES, "mine")


@pytest.mark.parametrize("kind", registry.KINDS, ids=lambda kind: kind.word)
def test_every_built_in_has_the_name_of_its_file(kind):
    for name in registry.names(kind):
        thing = registry.load(kind, name)
        assert registry._name(thing, registry.Path(name)) == name


@pytest.mark.parametrize(
    ("text", "line"), [("x = 1\n\ny = z\n", "broken.py:3"), ("x = 1\ndef f(:\n", "broken.py:2")]
)
def test_a_broken_plugin_is_reported_with_its_line(tmp_path, text, line):
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(PluginError, match=line):
        registry.add_plugin(tmp_path / "broken.py")


def test_the_hash_of_code_is_that_of_the_bytes_that_run(tmp_path):
    """An edit in the second between importing a file and planning must not name the old code's numbers."""
    file, code = tmp_path / "ruled.py", "from flatqat.methods.qat import QAT as METHOD\n"
    file.write_text(code)
    ((_, name),) = registry.add_plugin(file)
    suite = registry.load(registry.SUITES, "digits-c")
    before = code_hash(suite, name, "tiny", "lsq")
    file.write_text(f"{code}EDITED = True\n")
    assert code_hash(suite, name, "tiny", "lsq") == before
    registry.forget_edited()
    registry.load(registry.METHODS, name)
    assert code_hash(suite, name, "tiny", "lsq") != before
