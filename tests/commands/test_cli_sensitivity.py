"""`flatqat sensitivity` as a user sees it: tables, files and mistakes."""

import csv
import json
import re
from pathlib import Path

import pytest

from flatqat import registry
from flatqat.commands import layers
from tests.helpers import TOY
from tests.helpers.command_line import assert_one_line_error, terminal_of
from tests.helpers.sensitivity_runs import store

LAYERS = {"conv1", "stage1.0", "stage2.0", "stage3.0", "linear"}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    registry.add_plugin(TOY)
    return store(tmp_path_factory.mktemp("cells"))


@pytest.fixture
def sensitivity(flatqat, cells):
    registry.add_plugin(TOY)
    return lambda *args: flatqat("sensitivity", *args, "--results", cells, "--workers", 0, "--limit", 16)


def test_a_table_within_80_columns_and_a_picture(sensitivity, tmp_path):
    done = sensitivity("tiny-fp", "--bits", 2, "--plot", tmp_path / "layers.svg")
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    rows = [line.split() for line in done.out.splitlines() if line.split()[:1] and line.split()[0] in LAYERS]
    assert {row[0] for row in rows} == LAYERS
    assert "one layer at 2 bits, compared with the cell as it is" in done.out
    assert re.search(r"rank\s+correlation\s+over\s+5\s+layers", done.out)
    svg = (tmp_path / "layers.svg").read_text(encoding="utf-8")
    assert "points" in svg
    again = sensitivity("tiny-fp", "--bits", 2, "--plot", tmp_path / "again.svg")
    assert again.out == done.out
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == svg


def test_a_narrow_terminal_keeps_layers_and_points(sensitivity, monkeypatch):
    monkeypatch.setattr("flatqat.commands.layers.terminal", terminal_of(36))
    text = sensitivity("tiny-fp", "--bits", 2).out
    assert max(map(len, text.splitlines())) <= 36
    assert len(re.findall(r"^ (?:conv1|stage[123]\.0|linear) .* [+-]?\d+\.\d", text, re.MULTILINE)) == 5
    assert "left out: MACs, noise; a wider terminal" in " ".join(text.split())


def test_the_time_said_beforehand_includes_making_the_images(sensitivity, cells, monkeypatch):
    monkeypatch.setattr("flatqat.bench.sensitivity.measure.seconds_to_make", lambda *args: 3600.0)
    done = sensitivity("tiny-fp", "--bits", 7, "--layers", "linear")
    assert re.search(r"about 2 h.* in all", done.err), done.err  # id and noise/2


def test_most_costly_under_shift_first(sensitivity):
    found = json.loads(sensitivity("tiny-fp", "--bits", 2, "--format", "json").out)
    (sweep,) = found["sweeps"]
    order = sorted(sweep["layers"], key=lambda row: row["delta"]["OOD"]["value"])
    shown = sensitivity("tiny-fp", "--bits", 2).out
    places = [shown.index(f"\n {row['layer']} ") for row in order]
    assert places == sorted(places)
    assert sum(row["macs"] for row in sweep["layers"]) > 0
    assert found["protocol"]["options"]["limit"] == 16
    assert {one["name"] for one in found["protocol"]["reported"]} == {"id", "noise/2"}


def test_csv_and_json_have_the_same_numbers(sensitivity, cells):
    args = ("tiny-ptq", "--mode", "one,all-but-one", "--what", "weights,acts", "--layers", "stage*")
    data = json.loads(sensitivity(*args, "--format", "json").out)
    done = sensitivity(*args, "--format", "csv")
    lines = [*csv.DictReader(done.out.splitlines())]
    expected = [
        (sweep["mode"], sweep["what"], row["layer"], on, one["value"])
        for sweep in data["sweeps"]
        for row in sweep["layers"]
        for on, one in row["delta"].items()
    ]
    got = [(r["mode"], r["what"], r["layer"], r["on"], float(r["delta"])) for r in lines]
    assert got == expected
    assert len(expected) == 2 * 2 * 3 * 3
    path = re.search(r"stored in (\S+\.json)", done.err)[1]
    stored = json.loads(Path(path).read_text(encoding="utf-8"))
    assert stored == data
    assert path.startswith(str(cells / "sensitivity" / "tiny-ptq-4-s0-"))


def test_a_proposal_that_bench_run_takes(sensitivity, flatqat, cells, tmp_path):
    done = sensitivity("tiny-fp", "--bits", 3, "--bops", "4-bit", "--choices", "8,4,3")
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    assert re.search(
        r"Under shift the proposal is (better than|worse than|not told apart from) uniform", done.out
    )
    words = " ".join(done.out.split())
    assert "; 4 bits in all layers but the first and the last, which have 8, cost" in words
    data = json.loads(sensitivity("tiny-fp", "--bops", "4-bit", "--choices", "8,4,3", "--format", "json").out)
    assert ("It is what --bits 4 has without --layer-bits." in words) == data["proposal"]["is_uniform"]
    proposal = data["proposal"]
    assert proposal["cost"] <= proposal["budget"]["value"]
    words = ("--suite", "toy", "--method", "ptq", "--bits", proposal["bits"], "--layer-bits")
    run = flatqat(
        "bench", "run", *words, proposal["layer_bits"], "--dry-run", "--results", tmp_path, "--no-flatness"
    )
    assert run.code == 0, run.err


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (["nothing"], "cell 'nothing': expected the beginning of one stored id"),
        (["tiny-fp", "--layers", "nothing"], r"unknown layer 'nothing': expected one of conv1, .*stage3\.0"),
        (["tiny-fp", "--bits", "9"], "expected 2 to 8 bits"),
        (["tiny-fp", "--bits", "4@nothing"], "unknown quantizer 'nothing'"),
        (["tiny-fp", "--mode", "two"], "unknown value of --mode 'two'"),
        (["tiny-fp", "--what", "biases"], "unknown value of --what 'biases'"),
        (["tiny-fp", "--family", "fogs"], "unknown family of toy 'fogs': expected one of noise"),
        (["tiny-fp", "--shift", "fog/3"], "unknown shift of toy 'fog/3'"),
        (["tiny-fp", "--format", "xml"], "unknown format 'xml'"),
        (
            ["tiny-fp", "--plot", "x.gif"],
            "--plot: expected a file that ends in one of .png, .svg, .pdf, got x.gif",
        ),
        (
            ["tiny-fp", "--bops", "0.0001"],
            r"--bops: expected at least 0\.\d+, the least that the choices 8, 6, 5, 4, 3 can",
        ),
        (["tiny-fp", "--average-bits", "2"], r"--average-bits: expected at least 3, .* add lower --choices"),
        (["tiny-fp", "--bops", "4-bit", "--choose-on", "noise/2"], "what a suite scores never chooses bits"),
        (["tiny-fp", "--bops", "4-bit", "--average-bits", "4"], "both a budget"),
    ],
)
def test_mistakes_end_before_anything_is_measured(sensitivity, cells, args, pattern):
    before = {*cells.rglob("*")}
    assert_one_line_error(sensitivity(*args), pattern)
    assert {*cells.rglob("*")} == before


def test_a_cell_whose_weights_are_gone(flatqat, cells, tmp_path):
    (tmp_path / "records").symlink_to(cells / "records")
    registry.add_plugin(TOY)
    done = flatqat("sensitivity", "tiny-fp", "--results", tmp_path)
    assert_one_line_error(
        done, "found none; to train it again, add --rerun to the command that this prints: flatqat results"
    )
    words = done.err.rpartition(": flatqat ")[2].split()
    shown = flatqat(*words).out
    (command,) = re.findall(r"^command: (.*)$", shown, re.MULTILINE)
    assert command.endswith(f"--results {tmp_path}")
    assert "--data-root" not in command, "the toy suite has no files"


@pytest.mark.parametrize(("part", "text"), [(0.0, "0%"), (0.004, "<1%"), (0.006, "1%"), (1.0, "100%")])
def test_a_layer_without_macs_has_none(part, text):
    assert layers._share(part) == text
