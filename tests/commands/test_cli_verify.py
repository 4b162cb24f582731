"""`flatqat export verify` on the command line: its table, its exit codes, and what it refuses."""

import json
import re
import shutil

import pytest

from flatqat import registry
from flatqat.bench.records.store import Store
from flatqat.bench.report.tidy import load_results
from flatqat.commands import verified
from flatqat.console.terminal import terminal
from tests.helpers import TOY
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.verified_cells import exported, trained, with_other_scale

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
NAME = "tiny-qat-4"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A results folder and a file of its 4-bit cell."""
    from tests.helpers.plugins import plugins_removed

    folder = tmp_path_factory.mktemp("verify")
    with plugins_removed():
        registry.add_plugin(TOY)
        store = trained(folder / "results", bits=("4",))
        return store, exported(store, NAME, folder / "tiny.onnx")


@pytest.fixture
def verify(made, flatqat, tmp_path):
    """Run the command on a copy of the results folder."""
    results = shutil.copytree(made[0].root, tmp_path / "results")

    def run(*args, name=NAME, file=made[1], command=("export", "verify")):
        words = [*command, name, file] if command == ("export", "verify") else [*command]
        return flatqat(*words, "--results", results, *args, *(["--plugin", TOY] if file else []))

    run.results = results
    return run


def test_the_verdict_wraps_between_words_on_a_terminal(verify, monkeypatch, capsys):
    """A terminal itself would break it within a word; a pipe has it on one line."""
    verify()
    (record,) = [r for r in Store(verify.results).records() if r.deployed]
    console = terminal(force_terminal=True, no_color=True, width=80)
    monkeypatch.setattr(verified, "terminal", lambda: console)
    verified.show_verified(record)
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    last = text[text.index("100.000% of 288 predictions agree in onnx") :].splitlines()
    assert len(last) > 1
    assert max(map(len, last)) <= 80


def test_the_table_says_agreement_by_family_and_ends_with_a_verdict(verify, flatqat):
    done = verify("--latency")
    assert done.code == 0
    lines = done.out.splitlines()
    for row in ("id", "noise", "all sets, OOD"):
        assert sum(line.split("  ")[0].strip() == row for line in lines) == 2  # optimization off and on
    assert "the cell's own scores here are those of its record" in lines
    assert re.search(
        r" control, the cell against itself .* at most one float32 step: 100\.000% of predictions "
        r"agree; logits differ by up to \S+; \S+% of codes differ\. Rounding alone can make a correct file",
        " ".join(done.out.split()),
    )
    assert any(line.startswith("latency of 1x3x16x16") for line in lines)
    assert lines[-1].startswith("100.000% of 288 predictions agree in onnxruntime")
    report = flatqat("bench", "report", "--results", verify.results)
    header = next(line for line in report.out.splitlines() if "deployed" in line)
    assert "  deployed   agree  " in header
    shown = flatqat("results", "show", NAME, "--results", verify.results)
    assert "tiny.onnx: 100.000% of 288 predictions agree" in shown.out


def test_what_comes_after_accepts_the_record(verify, flatqat, tmp_path):
    assert verify().code == 0
    results = ("--results", verify.results)
    again = flatqat("bench", "run", "--suite", "toy", "--method", "fp,qat", "--bits", "4", "--seeds", "0,",
                    "--no-flatness", "--plugin", TOY, *results)  # fmt: skip
    assert again.code == 0
    assert "nothing to do" in again.err
    baseline = tmp_path / "baseline.json"
    assert flatqat("bench", "baseline", "--output", baseline, *results).code == 0
    assert flatqat("bench", "check", "--baseline", baseline, *results).code == 0
    assert "already schema 2" in flatqat("results", "migrate", verify.results).out
    table = load_results(verify.results)
    files = table[table["deployed"].notna()]
    assert set(files["shift"]) == {"id", "noise/1", "noise/2"}
    assert (files["deployed"] == files["value"]).all()
    assert (files["agreement"] == 100).all()
    assert set(files["metric"]) == {"top1"}


def test_json_has_all_of_it(verify):
    done = verify("--format", "json", "--limit", "10", "--min-agreement", "99")
    found = json.loads(done.out)
    assert (found["passed"], found["min_agreement"], found["limit"], found["threads"]) == (True, 99, 10, 1)
    assert found["plain"]["all"]["agreement"] == found["optimized"]["all"]["agreement"] == 100
    assert set(found["plain"]["shifts"]) == {"id", "noise/1", "noise/2"}


def test_the_gate_trips_on_a_fault(verify, made):
    faulty = with_other_scale(made[1], "stage2.0", 3.0)
    assert verify("--min-agreement", "99.9").code == 0
    assert verify(file=faulty).code == 0
    done = verify("--min-agreement", "99.9", file=faulty)
    assert done.code == 1
    assert done.out.splitlines()[-1].endswith("at least 99.9% demanded: FAILED")
    shipped = verify("--min-agreement-optimized", "99.9", file=faulty)
    assert shipped.code == 1
    assert shipped.out.splitlines()[-1].endswith("at least 99.9% with the graph optimized demanded: FAILED")
    both = json.loads(verify("--min-agreement-optimized", "99", "--format", "json").out)
    assert (both["min_agreement"], both["min_agreement_optimized"], both["passed"]) == (None, 99, True)


def test_a_few_images_do_not_replace_what_all_of_them_said(verify, flatqat):
    assert verify().code == 0
    few = verify("--limit", "4")
    assert "12 predictions agree" in few.out.splitlines()[-1]
    assert "not stored: the record keeps what this file did in onnxruntime on all images" in few.err
    shown = flatqat("results", "show", NAME, "--results", verify.results)
    assert "tiny.onnx: 100.000% of 288 predictions agree" in shown.out


def test_what_to_write_names_the_folder_and_overwrites_no_other_file(verify, tmp_path):
    other = tmp_path / "README.md"
    other.write_text("# notes")
    done = verify(file=other)
    assert_one_line_error(
        done, rf"write it with: flatqat export (\S+) --output \1\.onnx --results {verify.results}"
    )


@pytest.mark.parametrize("args", [("x", "--opset", "17"), ("x",)])
def test_a_mistake_names_the_command_as_the_page_has_it(flatqat, args):
    assert_one_line_error(flatqat("export", *args), r"; see: flatqat export --help$")
    assert_one_line_error(flatqat("export", "verify", *args), r"; see: flatqat export verify --help$")


def test_the_help_of_the_command_without_a_name_is_that_of_the_page(flatqat):
    done = flatqat("export", "--help")
    assert re.fullmatch(r"Usage: flatqat export \[OPTIONS\] .*CELL.*", done.out.splitlines()[0])
    assert "export write" not in done.out


def damaged(change):
    def write(made, folder):
        file = folder / "damaged.onnx"
        file.write_bytes(change(made[1].read_bytes()))
        return file

    return write


def of_another_program(made, folder):
    import onnx

    model = onnx.load(made[1])
    del model.metadata_props[:]
    onnx.save(model, folder / "other.onnx")
    return folder / "other.onnx"


def of_another_shape(made, folder):
    """One more class: the bias of the head decides it."""
    import onnx
    from onnx import helper

    model = onnx.load(made[1])
    (logits,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["before" if name == logits.name else name for name in node.output]
    model.graph.node.append(helper.make_node("Concat", ["before", "before"], [logits.name], axis=1))
    logits.type.tensor_type.ClearField("shape")
    onnx.save(model, folder / "shape.onnx")
    return folder / "shape.onnx"


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (lambda made, folder: folder / "none.onnx", "none.onnx: cannot be read.*flatqat export"),
        (lambda made, folder: folder, "expected a file, got a folder"),
        (damaged(lambda data: b""), "expected a file of flatqat export, got one of another program"),
        (damaged(lambda data: b"\x89PNG\r\n" + data), "expected an ONNX file, got a damaged one"),
        (damaged(lambda data: data[: len(data) // 2]), "expected an ONNX file, got a damaged one"),
        (of_another_program, "got one of another program"),
        (of_another_shape, r"expected logits \(\d+, 4\), got \(\d+, 8\)"),
    ],
)
def test_a_file_that_is_none_is_refused(verify, made, tmp_path, make, pattern):
    record = made[0].record_path(made[0].find(NAME).cell)
    assert_one_line_error(verify(file=make(made, tmp_path)), pattern)
    stored = verify.results / record.relative_to(made[0].root)
    assert stored.read_bytes() == record.read_bytes()


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (("--runtime", "tensorrt"), "unknown runtime 'tensorrt'"),
        (("--format", "csv"), "unknown format 'csv'"),
        (("--threads", "4096"), "--threads: expected at most"),
    ],
)
def test_a_wrong_option_is_refused(verify, args, pattern):
    assert_one_line_error(verify(*args), pattern)


def test_other_cells_are_refused(verify, made):
    assert_one_line_error(verify(name="tiny-fp"), "expected a quantized one, got one in floating point")
    assert_one_line_error(verify(name="resnet"), "expected the beginning of one stored id or label")
    assert verify("--limit", "0").code == 2
    shutil.rmtree(verify.results / "weights")
    assert_one_line_error(verify(), "expected its weights at .*, found none")
