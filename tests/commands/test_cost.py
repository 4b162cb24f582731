"""`flatqat cost` and `bench report --plot`: what stored cells cost, printed, stored and drawn."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flatqat.bench.cell import cell_cost
from flatqat.bench.cell.cell_cost import cost_of
from flatqat.bench.records.store import Store
from flatqat.console.fitted import print_fitting
from flatqat.console.terminal import plain_table, terminal
from flatqat.errors import StoreError
from tests.helpers import RESULTS
from tests.helpers.command_line import assert_one_line_error, terminal_of

MACS = 1143104  # of `tiny` at 32 pixels: 110,592 + 589,824 + 294,912 + 147,456 + 320


@pytest.fixture
def first_look(tmp_path) -> Path:
    """Records without a cost, as they were made before there were any."""
    folder = Path(shutil.copytree(RESULTS / "first-look", tmp_path / "r"))
    store = Store(folder)
    for record in store.records():
        store.write_record(replace(record, cost=None))
    return folder


def test_cost_prints_a_layer_a_line_and_completes_the_record(flatqat, first_look):
    before = {record.cell.id: record for record in Store(first_look).records()}
    done = flatqat("cost", "tiny-qat-4-s0", "--results", first_look)
    assert done.code == 0
    rows = {line.split()[0]: line.split() for line in done.out.splitlines() if line.strip()}
    assert rows["stage1.0"][1:] == ["w4a4", "589,824", "0.00944", "40.0%", "1,152", "4,096"]
    assert rows["conv1"][1:6] == ["w8a8", "110,592", "0.00708", "30.0%", "432"]
    assert rows["total"][1:4] == [f"{MACS:,}", "0.0236", "100.0%"]
    assert "cost stored in 1 record that had none" in done.err
    after = {record.cell.id: record for record in Store(first_look).records()}
    (changed,) = (record for record in after.values() if record.cost)
    assert changed.cost.macs == MACS
    assert replace(changed, cost=None) == before[changed.cell.id], "nothing else changes"
    assert [after[k] for k in after if k != changed.cell.id] == [
        before[k] for k in before if k != changed.cell.id
    ]
    again = flatqat("cost", "tiny-qat-4-s0", "--results", first_look)
    assert (again.out, again.err) == (done.out, "")


@pytest.mark.parametrize(("width", "gone"), [(40, "MACs, GBOPs, acts"), (60, "GBOPs, acts"), (80, "")])
def test_a_narrow_terminal_keeps_layers_and_their_share(flatqat, first_look, monkeypatch, width, gone):
    monkeypatch.setattr("flatqat.commands.cell_cost.terminal", terminal_of(width))
    done = flatqat("cost", "tiny-qat-4-s0", "--results", first_look)
    assert max(map(len, done.out.splitlines())) <= width
    assert re.search(r"^ stage1\.0 .* 40\.0% +1,152", done.out, re.MULTILINE), done.out
    assert re.search(r"^ total .* 100\.0% +10,836", done.out, re.MULTILINE), done.out
    left_out = f"left out: {gone}; a wider terminal or a pipe has all"
    assert (left_out in " ".join(done.out.split())) == bool(gone)


def test_long_names_of_layers_go_over_lines(capsys):
    names = ("layer", "share")

    def table_of(kept):
        table = plain_table(*(names[at] for at in kept), left=("layer",), wrapped=("layer",))
        table.add_row(*(["encoder.layers." * 4, "100.0%"][at] for at in kept))
        return table

    print_fitting(names, [], table_of, terminal(width=12, force_terminal=True, color_system=None))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:7]] == [
        "encoder.layers.e",
        "ncoder.layers.en",
        "coder.layers.enc",
        "oder.layers.",
    ]
    assert lines[3].endswith("100.0% ")


def test_what_was_stored_while_costs_were_counted_stays(flatqat, first_look, monkeypatch):
    store = Store(first_look)
    before = store.find("tiny-qat-4-s0")

    def counted(*args, **options):
        store.write_record(replace(before, last_run="later"))
        return cost_of(*args, **options)

    monkeypatch.setattr(cell_cost, "cost_of", counted)
    assert flatqat("cost", "tiny-qat-4-s0", "--results", first_look).code == 0
    after = store.find("tiny-qat-4-s0")
    assert after.cost.macs == MACS
    assert replace(after, cost=None) == replace(before, last_run="later")


def test_cells_of_one_network_share_a_table(flatqat, first_look):
    done = flatqat("cost", "*", "--results", first_look)
    assert done.out.count("stage1.0") == 2, "one for each of full precision and 4 bits"
    assert "cost stored in 9 records that had none" in done.err
    assert all(record.cost for record in Store(first_look).records())


def test_json_adds_up(flatqat, first_look):
    cells = json.loads(flatqat("cost", "*", "--results", first_look, "--format", "json").out)
    assert len(cells) == 9
    for cell in cells:
        layers = cell["layers"]
        assert cell["macs"] == MACS == sum(layer["macs"] for layer in layers) + cell["functional_macs"]
        assert cell["bops"] == sum(each["macs"] * each["weight_bits"] * each["act_bits"] for each in layers)
        assert cell["weight_bytes"] == sum(layer["weight_bytes"] for layer in layers)
        assert cell["activation_bytes"] == max(layer["activation_bytes"] for layer in layers)


def test_a_folder_that_is_only_read_is_no_error(flatqat, first_look, monkeypatch):
    def refuse(*_):
        raise StoreError("cannot write r: Read-only file system")

    monkeypatch.setattr(Store, "write_record", refuse)
    done = flatqat("cost", "tiny-qat-4-s0", "--results", first_look)
    assert done.code == 0
    assert "total" in done.out
    assert done.err == "not stored: cannot write r: Read-only file system\n"


def test_wrong_values_of_cost(flatqat, first_look):
    at = ("--results", first_look)
    assert_one_line_error(flatqat("cost", "nothing", *at), "'nothing': expected the beginning")
    assert_one_line_error(flatqat("cost", "tiny-qat", *at, "--format", "xml"), "unknown format 'xml'")
    record = Store(first_look).records()[0]
    failed = replace(record, cell=replace(record.cell, method="gsam"), status="failed", reason="x")
    Store(first_look).write_record(type(record)(cell=failed.cell, status="failed", reason="x"))
    assert_one_line_error(flatqat("cost", "tiny-gsam", *at), "expected a finished one, got failed")


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_picture_is_the_same_to_the_byte(flatqat, first_look, tmp_path, suffix, begins):
    flatqat("cost", "*", "--results", first_look)
    files = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    for file in files:
        done = flatqat("bench", "report", "--results", first_look, "--plot", "pareto", "--output", file)
        assert (done.code, done.out, done.err) == (0, "", f"written to {file}\n")
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first.startswith(begins)


def test_wrong_values_of_plot_write_nothing(flatqat, first_look, tmp_path):
    args = ("bench", "report", "--results", first_look, "--plot")
    out = tmp_path / "out.png"
    for more, expected in (
        (
            ("paretto", "--output", out),
            "unknown plot 'paretto': expected one of flatness, id-ood, pareto, severity, tax; did you mean",
        ),
        (
            ("pareto",),
            r"--plot pareto: --output: expected a file that ends in one of \.png, \.svg, \.pdf, got none",
        ),
        (("pareto", "--output", tmp_path / "out.jpg"), r"one of \.png, \.svg, \.pdf, got .*out\.jpg"),
        (("pareto", "--output", out, "--by", "shift"), "expected neither --by, --format nor"),
        (("pareto", "--output", out), r"cost of their network, got none; add it with: flatqat cost '\*'"),
    ):
        assert_one_line_error(flatqat(*args, *more), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]
