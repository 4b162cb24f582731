"""Verified files in records and tables: what is stored comes back, and columns are computed from it."""

import re
from dataclasses import replace

import numpy as np
import pytest

from flatqat.bench.records.record_json import record_to_dict
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method, method_rows
from flatqat.bench.report.deployed import deployed_value, percentage
from flatqat.bench.report.method_table import of_methods
from flatqat.bench.report.render import load, render, show
from flatqat.bench.report.tidy import load_results
from flatqat.console.terminal import terminal
from flatqat.errors import UsageError
from flatqat.spec import CodeFlips, Compared, Deployment, FileRun, Latency, Record
from tests.helpers import gate_records
from tests.helpers.gate_records import CELL, store_with
from tests.helpers.records import shift_info

N = 40
SHIFTS = {**gate_records.SHIFTS, "val": shift_info("val", image_set="val", in_mean=False)}


def compared(agreement: float, file: float | None, cell: float | None, images: int = N) -> Compared:
    return Compared(
        images=images,
        predictions=images,
        agreement=agreement,
        largest=0.5,
        relative=None,
        cell=cell,
        file=file,
        low=-1.0,
        high=1.0,
    )


def deployed(store: Store, cell=CELL, images: int = N, shift: float = -1.0) -> Record:
    """A record whose file is `shift` points off on every set, with graph optimization, and agrees in 90%."""
    record = store.record(cell)
    of_cell = {name: scores["top1"].value for name, scores in record.scores.items()}
    if images < N:
        of_cell = dict.fromkeys(of_cell, 50.0)  # whatever the sample gave
    shifts = {
        name: compared(90.0, value + shift, value, images) for name, value in of_cell.items() if name != "val"
    }
    codes = CodeFlips(images=2, layers=1, codes=10, differing=1, largest=1, first="conv")
    run = FileRun(all=compared(90.0, 1.0, 2.0), families={}, shifts=shifts, codes=codes)
    exact = FileRun(all=compared(99.996, 2.0, 2.0), families={}, shifts={})
    found = Deployment(
        file="m.onnx",
        sha256="ab",
        bytes=7,
        runtime="onnxruntime",
        packages={"onnxruntime": "1", "timm": None},
        device="cpu",
        threads=1,
        limit=None if images == N else images,
        plain=exact,
        optimized=run,
        control=exact,
        latency=Latency(
            median=2, low=1, high=3, runs=5, shape=(1, 3, 8, 8), float_median=2, float_low=1, float_high=3
        ),
    )
    return store.write_record(replace(record, deployed=found))


@pytest.fixture
def store(tmp_path) -> Store:
    for number, cell in enumerate((CELL, replace(CELL, seed=1), replace(CELL, method="sam"))):
        rng = np.random.default_rng(number)
        made = store_with(tmp_path, {shift: rng.random(N) < 0.8 for shift in SHIFTS}, cell, SHIFTS)
    return made


def test_a_record_is_what_was_written_and_one_without_says_nothing_of_it(store):
    written = deployed(store)
    assert Store(store.root).record(CELL) == written
    assert Record.from_dict(written.to_dict()) == written
    assert "deployed" not in record_to_dict(store.record(replace(CELL, seed=1)))
    assert store.finished(CELL) == written


def test_columns_are_those_of_the_row_changed_as_the_seeds_that_have_a_file(store):
    rows = {row["method"]: row for row in method_rows(sections(store.records())[0], store)}
    assert not any(name.startswith("deployed") for row in rows.values() for name in row)
    record = deployed(store)
    of_row = [record, store.record(replace(CELL, seed=1))]
    ood = np.mean([r.scores[name]["top1"].value for r in of_row for name in ("fog/1", "blur/1")])
    of_id = np.mean([r.scores["id"]["top1"].value for r in of_row])
    (section,) = sections(store.records())
    table = by_method(section, store).set_index("method")
    assert table.loc["qat", "deployed_ood_top1"] == pytest.approx(ood - 1)
    assert table.loc["qat", "deployed_id_top1"] == pytest.approx(of_id - 1)
    assert list(table.loc["qat", ["deployed_agreement", "deployed_seeds", "deployed_images"]]) == [90, 1, N]
    assert table.loc["sam", [name for name in table if name.startswith("deployed")]].isna().all()
    shown = of_methods(section, method_rows(section, store))
    columns = dict(zip(shown.header, zip(*shown.rows, strict=True), strict=True))
    assert columns["deployed"] == (f"{ood - 1:.1f}", "-")
    assert columns["agree"] == ("90.00", "-")
    assert "verified in part: qat 4 on 1 of 2 seeds" in " ".join(shown.said())
    assert {"deployed", "agree"} <= set(shown.definitions)


def on_terminal(store: Store, width: int, capsys, columns: tuple[str, ...] = ()) -> str:
    console = terminal(width=width, force_terminal=True, no_color=True)
    show(load(store, None), store, "method", console, columns)
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


def test_what_was_verified_stays_when_other_columns_go(store, capsys):
    deployed(store)
    (header,) = [line for line in on_terminal(store, 60, capsys).splitlines() if "method" in line]
    assert header.split() == ["method", "bits", "ID", "OOD", "deployed", "agree"]


def test_a_note_goes_with_its_column(store, capsys):
    deployed(store)
    assert "verified in part" in on_terminal(store, 80, capsys)
    narrow = on_terminal(store, 40, capsys)
    assert "deployed, agree" in narrow
    assert "verified in part" not in narrow
    assert "verified in part" in on_terminal(store, 80, capsys, ("deployed",))
    assert "verified in part" not in on_terminal(store, 80, capsys, ("OOD",))


def test_latency_is_shown_on_request(store, capsys):
    deployed(store)
    assert "latency" not in on_terminal(store, 200, capsys)
    shown = on_terminal(store, 80, capsys, ("latency",))
    (row,) = [line for line in shown.splitlines() if line.startswith(" qat")]
    assert row.split()[-1] == "2"
    assert "one image through the exported file, median in ms" in shown
    (of_sam,) = [line for line in shown.splitlines() if line.startswith(" sam")]
    assert of_sam.split()[-1] == "-"


@pytest.mark.parametrize("form", ["md", "csv"])
def test_what_no_file_was_verified_for_is_answered_with_the_command_that_measures_it(store, form):
    for name, command in (("Latency", "flatqat export verify --latency"), ("agree", "flatqat export verify")):
        with pytest.raises(UsageError, match=f"column '{name}': .* found none; {command} measures it$"):
            render(store, None, form, "method", columns=(name, "ood"))
        with pytest.raises(UsageError, match=f"unknown column '{name}'"):
            render(store, None, form, "family", columns=(name,))


def test_a_file_that_saw_fewer_images_is_the_cell_plus_its_change(store):
    record = deployed(store, images=10)
    assert deployed_value(record, "id") == pytest.approx(record.scores["id"]["top1"].value - 1)
    text = render(store, None, "md", "method")
    assert f"on 1 of 2 seeds, 10 of {N} images a set; deployed is then OOD plus the change" in text


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
def test_every_format_has_them(store, form):
    assert "deployed" not in render(store, None, form, "method")
    deployed(store)
    assert "deployed" in render(store, None, form, "method")


def test_the_tidy_table_has_them_by_set(store):
    record = deployed(store)
    table = load_results(store.root)
    files = table[table["deployed"].notna()]
    assert set(files["cell"]) == {record.cell.id}
    assert set(files["metric"]) == {"top1"}
    assert set(files["shift"]) == set(SHIFTS) - {"val"}
    assert np.allclose(files["deployed"], files["value"] - 1)
    assert set(files["agreement"]) == {90.0}


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(100.0, 2, "100.00"), (99.9999, 2, "99.99"), (99.99, 2, "99.99"), (29.0, 3, "29.000"), (0.0, 2, "0.00")],
)
def test_only_all_is_a_hundred_percent(share, digits, text):
    assert percentage(share, digits) == text
