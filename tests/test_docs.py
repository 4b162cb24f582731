"""What is written is true: commands exist, code runs, links lead somewhere, tables are the stored ones."""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from flatqat.bench.gate.baseline import read_baseline
from flatqat.bench.gate.check import check
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request, parse_seeds
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import load
from flatqat.bench.study.page import write_study
from flatqat.commands.bench import DEFAULT_BITS, DEFAULT_METHODS, DEFAULT_SUITES
from flatqat.exit_codes import OK
from flatqat.testing import check_plugin
from tests.helpers import ROOT
from tests.helpers.command_line import MissingParameter, parse

README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").glob("adding-a-*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "results" / "README.md"])
COMMAND = re.compile(r"^    (flatqat .*?)(?:  #.*)?$", re.MULTILINE)
FENCED = re.compile(r"```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL)


def examples(guide: Path) -> dict[str, str]:
    """The guide's examples, by the file names that it gives them."""
    text = guide.read_text(encoding="utf-8")
    codes = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return dict(zip(re.findall(r"Save it as `(\w+\.py)`", text), codes, strict=True))


FURTHER = [
    (guide, name)
    for guide in GUIDES
    for name in examples(guide)
    if f"flatqat test {name}" not in guide.read_text(encoding="utf-8")
]
"""The examples that no command of their guide checks."""


def test_there_is_a_guide_for_every_kind():
    assert [guide.stem for guide in GUIDES] == [
        "adding-a-method", "adding-a-model", "adding-a-quantizer", "adding-a-suite",
    ]  # fmt: skip


@pytest.mark.parametrize(("guide", "name"), FURTHER, ids=[name for _, name in FURTHER])
def test_a_further_example_of_a_guide_passes_the_contract_checks(guide, name, tmp_path):
    (tmp_path / name).write_text(examples(guide)[name], encoding="utf-8")
    outcomes = list(check_plugin(tmp_path / name))
    assert outcomes
    assert not [outcome for outcome in outcomes if outcome[1]]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_commands_of_a_guide_run(guide, flatqat, tmp_path, monkeypatch):
    """Training runs are only planned."""
    for name, code in examples(guide).items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    commands = [shlex.split(text)[1:] for text in COMMAND.findall(guide.read_text(encoding="utf-8"))]
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    for command in commands:
        done = flatqat(*command, *(["--dry-run"] if "run" in command else []))
        assert done.code == 0, done.err


def command_lines(page: Path) -> list[str]:
    """The flatqat commands of a page that a reader copies: in indented lines and in shell blocks."""
    text = page.read_text(encoding="utf-8")
    shell = "\n".join(m["text"] for m in FENCED.finditer(text) if m["language"] == "sh").replace("\\\n", " ")
    in_shell = re.findall(r"(?:^(?:srun .*?)?|&& )(?:\S*/)?(flatqat .*?)(?:  #.*)?$", shell, re.MULTILINE)
    return COMMAND.findall(text) + in_shell


def mentions(page: Path) -> list[str]:
    """The flatqat commands in the sentences of a page; they may leave out what is required."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return re.findall(r"`(flatqat [a-z][^`]* [^`]*)`", text.replace("\n", " "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_the_commands_of_a_page_exist(page):
    for line in command_lines(page):
        parse(shlex.split(line))
    for line in mentions(page):
        with suppress(MissingParameter):
            parse(shlex.split(line))


OF_ONE_CELL = re.compile(
    r"^flatqat (?:audit|flatness|export(?: verify)?|sensitivity|bench gallery) ([^- ]\S*)"
)


def test_a_command_of_one_cell_names_one_of_several_seeds():
    """The default makes three seeds, so the beginning of a label has to go as far as the seed."""
    lines = [line for page in PAGES for line in command_lines(page)]
    named = [found[1] for line in lines if (found := OF_ONE_CELL.match(line))]
    assert len(named) >= 10
    assert [name for name in named if not re.search(r"-s\d+$|^[0-9a-f]{12}$", name)] == []


@pytest.mark.parametrize(
    "text",
    [
        "    flatqat bench rum\n",
        "    flatqat bench baseline\n",
        "```sh\nflatqat bench run \\\n  --budget 3\n```\n",
        "```sh\ncd x && .venv/bin/flatqat bench run --oops\n```\n",
        "```sh\nsrun --gres=gpu:1 \\\n  flatqat bench run --oops\n```\n",
        "Say `flatqat bench\nrum`.",
    ],
)
def test_a_command_that_does_not_exist_is_found(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(Exception, match=r"No such (command|option)|Missing parameter"):
        test_the_commands_of_a_page_exist(page)


def test_the_readme_starts_with_its_two_commands():
    """The one that runs the benchmark, whose whole output is the table, and the one that runs the tests."""
    blocks = [m["text"] for m in FENCED.finditer(README.read_text(encoding="utf-8")) if m["language"] == "sh"]
    assert blocks == [
        "python3 -m venv .venv && .venv/bin/pip install -q '.[all]' && .venv/bin/flatqat bench run\n",
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[all,dev]' && "
        ".venv/bin/python -m pytest -n auto --dist loadfile\n",
    ]


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "results.md"], ids=lambda page: page.stem)
def test_the_first_lines_in_a_notebook_run(page):
    """The last line of the block is what a notebook shows: several numbers, none missing."""
    blocks = FENCED.finditer(page.read_text(encoding="utf-8"))
    block = next(m["text"] for m in blocks if m["language"] == "python" and "load_results" in m["text"])
    *lines, last = block.strip().splitlines()
    code = "\n".join([*lines, f"shown = {last}", "print(len(shown), shown.notna().all())"])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    count, known = done.stdout.split()
    assert int(count) > 2
    assert known == "True"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_links_lead_somewhere(page):
    """To files of the repository, and to headings of its pages."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#\s:]*(?:#[^)\s]*)?)\)", text):
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles]
            assert heading in anchors, target


def test_the_messages_that_are_explained_are_those_of_the_code():
    """Each part of a message between two ellipses stands in the source, where a value may interrupt it."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "flatqat").rglob("*.py"))
    source = re.sub(r'"\s*f?"', "", source)  # texts that go on in the next line of code
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = "\n".join(re.findall(r"```text\n(.*?)```", page, re.DOTALL)).splitlines()
    parts = [part for message in messages for part in re.split(r"…|, got|; |: |'eval'|FILE", message)]
    wanted = [part.strip() for part in parts if len(part.split()) > 1]
    assert len(wanted) > 30
    assert not [part for part in wanted if part not in source]


def test_the_drawing_of_the_rooms_is_complete():
    """The page on the design names every file and folder of the package, and every room of the benchmark."""
    lines = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("flatqat/\n")[2].splitlines()
    drawn = [line for line in lines[: lines.index("")] if line.startswith("      ")]
    for indent, folder in ((6, ROOT / "flatqat"), (8, ROOT / "flatqat" / "bench")):
        named = {line.split()[0].rstrip("/") for line in drawn if len(line) - len(line.lstrip()) == indent}
        there = {
            path.name for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
        }
        assert named == there - ({"__main__.py"} if indent == 6 else {"__init__.py"})


def test_the_page_of_the_second_study_and_its_picture_are_the_stored_ones():
    done = subprocess.run([sys.executable, "-m", "scripts.study_2.page", "--check"], cwd=ROOT, timeout=300)
    assert done.returncode == 0, "out of date: run python -m scripts.study_2.page"


def test_the_numbers_of_the_readme_are_those_of_the_second_study():
    """Every interval that the README quotes stands in the generated page."""
    section = README.read_text(encoding="utf-8").partition("## A result")[2].partition("\n## ")[0]
    quoted = re.findall(r"[+-]\d\.\d\d \[[^]]*\]", " ".join(section.split()))
    assert len(quoted) >= 3
    study = (ROOT / "docs" / "study-2.md").read_text(encoding="utf-8")
    assert [number for number in quoted if number not in study] == []


def test_the_baseline_of_ci_is_of_the_run_in_ci():
    """Its cells are among those that CI runs today; another machine's run passes, as in CI."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (seeds,) = re.findall(r"- run: flatqat bench run --seeds (\d+)\n", workflow)
    command = "flatqat bench check --baseline results/baselines/digits-c.json"
    assert f"run: {command}\n" in workflow
    assert command in (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    names = {"suites": DEFAULT_SUITES, "methods": DEFAULT_METHODS, "bits": DEFAULT_BITS}
    plan = make_plan(Request(**names, seeds=parse_seeds(seeds)))
    scored = {job.cell.id: job.cell for job in plan.scored()}
    baseline = ROOT / "results" / "baselines" / "digits-c.json"
    stored = read_baseline(baseline).keys()
    first = {cell_id for cell_id, cell in scored.items() if cell.seed == 0}
    assert first <= stored <= scored.keys(), "out of date: see results/README.md"
    done = check(Store(ROOT / "results" / "first-look"), baseline)
    assert done.code == OK
    assert len(done.verdicts) == 18


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
