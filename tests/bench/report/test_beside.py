"""Results beside a pack of stored outcomes: the differences, what is compared, and what is not and why."""

import json
from dataclasses import replace

import numpy as np
import pytest

from flatqat.bench.gate.baseline import read_baseline, write_baseline
from flatqat.bench.gate.reference import FOLDER, OWN, Pack, read_pack
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.beside import beside
from flatqat.bench.report.beside_table import frame_beside, said, shown_beside
from flatqat.bench.report.render import frame, load, render
from scripts import reference_pack
from tests.helpers import RESULTS
from tests.helpers.gate_records import CELL, SHIFTS, flipped, outcomes, store_with
from tests.helpers.records import environment, shift_info
from tests.helpers.street_records import FP, matrices, put

FIRST_LOOK = Store(RESULTS / "first-look")
FULL = replace(CELL, method="fp", quant="fp")


def pack_of(store, tmp_path):
    path = tmp_path / "theirs.json"
    write_baseline(store, path)
    return read_pack(path)


def found_in(store, pack):
    (section,) = sections(store.records())
    return beside(section, store, pack)


def test_the_same_results_differ_by_exactly_nothing():
    pack = read_pack(OWN)
    (section,) = load(FIRST_LOOK, None)
    found = beside(section, FIRST_LOOK, pack)
    assert [*found.rows] == [("fp", "fp"), ("qat", "4"), ("anchor", "4")]
    assert (found.alone, found.reasons, found.differing) == ({}, [], [])
    for rows in found.rows.values():
        assert [row.what for row in rows] == ["id", "ood"]
        assert {row.estimate.value for row in rows} == {0.0}
        assert [row.now for row in rows] == [row.before for row in rows]
    table, own = frame_beside(found), frame(section, FIRST_LOOK, "method")
    for name in ("id", "ood"):  # as the table of methods has them, which takes them from the records
        np.testing.assert_allclose(table[f"reference_{name}"], own[f"{name}_top1"], rtol=1e-12)


def test_outcomes_are_read_once(tmp_path, monkeypatch):
    store = store_with(tmp_path / "ours", outcomes())
    pack, read = pack_of(store, tmp_path), []
    stacks = Store.stacks
    monkeypatch.setattr(
        Store, "stacks", lambda self, cell, *more: read.append(cell) or stacks(self, cell, *more)
    )
    assert found_in(store, pack).rows
    assert len(read) == 1


def test_differences_are_those_of_means_over_seeds_paired_by_image(tmp_path):
    before, now = outcomes(), {s: flipped(right, lost=100, won=40) for s, right in outcomes().items()}
    pack = pack_of(store_with(tmp_path / "theirs", before), tmp_path)
    found = found_in(store_with(tmp_path / "ours", now), pack)
    (rows,) = found.rows.values()
    n = len(before["id"])
    for row, shifts in zip(rows, (["id"], ["fog/1", "blur/1"]), strict=True):
        each = 100 * np.mean([now[s].astype(float) - before[s] for s in shifts], axis=0)
        assert row.estimate.value == pytest.approx(each.mean(), abs=1e-12)
        # one training on each side, so images alone: the error of a mean of paired differences
        assert row.estimate.stderr == pytest.approx(each.std(ddof=1) / np.sqrt(n), rel=1e-12)
    shown = shown_beside(found)
    e = rows[0].estimate
    means = (f"{100 * now['id'].mean():.1f}", f"{100 * before['id'].mean():.1f}")
    difference = f"{e.value:+.1f} [{e.low:+.1f}, {e.high:+.1f}] †"
    assert shown.rows[0][:6] == ["qat", "4", "1 / 1", *means, difference]
    assert any(note.startswith("†: one seed on both sides") for note in shown.notes)
    (row,) = frame_beside(found).to_dict("records")
    assert (row["id"], row["reference_id"]) == pytest.approx((rows[0].now, rows[0].before), abs=1e-12)
    ends = tuple(row[f"id_difference{end}"] for end in ("", "_low", "_high"))
    assert ends == pytest.approx((e.value, e.low, e.high), abs=1e-12)


def test_rows_of_one_side_are_shown_or_named(tmp_path):
    theirs = store_with(tmp_path / "theirs", outcomes(1), FULL)
    store_with(tmp_path / "theirs", outcomes(2))
    pack = pack_of(theirs, tmp_path)
    ours = store_with(tmp_path / "ours", outcomes(2))
    store_with(tmp_path / "ours", outcomes(3), replace(CELL, method="sam"))
    found = found_in(ours, pack)
    assert ([*found.rows], [*found.alone]) == ([("qat", "4")], [("fp", "fp")])
    assert said(found) == [f"not compared: sam 4: not in {pack.name}"]
    shown = shown_beside(found)
    assert shown.rows[1][:6] == ["fp", "fp", "- / 1", "-", f"{100 * outcomes(1)['id'].mean():.1f}", "-"]
    table = frame_beside(found).set_index("method")
    assert table.loc["fp", "reference_id"] == pytest.approx(100 * outcomes(1)["id"].mean(), abs=1e-12)
    assert table.loc["fp"].isna()[["id", "id_difference", "seeds"]].all()


def test_a_row_of_other_images_is_not_shown_alone(tmp_path):
    theirs = store_with(tmp_path / "theirs", outcomes(1), FULL)
    store_with(tmp_path / "theirs", outcomes(2), data="e")
    pack = pack_of(theirs, tmp_path)
    found = found_in(store_with(tmp_path / "ours", outcomes(1), FULL), pack)
    assert ([*found.rows], found.alone) == ([("fp", "fp")], {})
    assert said(found) == [f"not compared: qat 4 of {pack.name}: the images differ: data e → d"]


@pytest.mark.parametrize(
    ("cell", "fields"),
    [
        ({"suite_version": 2}, "suite version"),
        ({"limit": 100}, "limit"),
        ({"recipe": "c", "recipe_args": (("lr", 0.1),)}, "recipe and recipe args"),
        ({"model": "n"}, "model"),
        ({"adapt": "bn"}, "adapt"),
    ],
    ids=str,
)
def test_another_section_is_named_with_what_differs(tmp_path, cell, fields):
    pack = pack_of(store_with(tmp_path / "theirs", outcomes()), tmp_path)
    found = found_in(store_with(tmp_path / "ours", outcomes(), replace(CELL, **cell)), pack)
    assert (found.rows, found.alone, shown_beside(found)) == ({}, {}, None)
    (line,) = said(found)
    assert line.endswith(f"has other cells of s: s v1 · m · recipe b; it differs in {fields}")


def test_another_suite_is_named(tmp_path):
    found = found_in(store_with(tmp_path / "ours", outcomes()), read_pack(OWN))
    assert said(found) == ["not compared: reference has nothing of s"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "e"}, "the images differ: data d → e"),
        (
            {"shifts": {**SHIFTS, "fog/1": shift_info("digital", severity=1)}},
            "the shifts differ, such as fog/1",
        ),
        ({"right": outcomes(n=1999)}, "the number of images of blur/1 differs: 2,000 → 1,999"),
    ],
    ids=["data", "shifts", "images"],
)
def test_other_images_are_not_compared(tmp_path, change, reason):
    pack = pack_of(store_with(tmp_path / "theirs", outcomes()), tmp_path)
    fields = {"right": outcomes(), **change}
    found = found_in(store_with(tmp_path / "ours", fields.pop("right"), **fields), pack)
    assert found.rows == {}
    assert said(found) == [f"not compared: qat 4 of {pack.name}: {reason}"]


def test_results_without_outcomes_are_not_compared(tmp_path):
    pack = pack_of(store_with(tmp_path / "theirs", outcomes()), tmp_path)
    ours = store_with(tmp_path / "ours", outcomes())
    ours.outcomes_path(CELL).unlink()
    assert said(found_in(ours, pack)) == [
        f"not compared: qat 4 of {pack.name}: the outcomes of its images are not stored"
    ]


def test_of_several_codes_of_one_name_the_same_is_compared_or_none(tmp_path):
    theirs = tmp_path / "theirs"
    one, two = (replace(CELL, plugins=name, seed=seed) for seed, name in enumerate("ab"))
    packs = []
    for cell in (one, two):
        write_baseline(store_with(theirs / cell.plugins, outcomes(), cell), tmp_path / f"{cell.plugins}.json")
        packs.append(json.loads((tmp_path / f"{cell.plugins}.json").read_text()))
    packs[0]["cells"].update(packs[1]["cells"])
    (tmp_path / "both.json").write_text(json.dumps(packs[0]))
    pack = read_pack(tmp_path / "both.json")
    assert [*found_in(store_with(tmp_path / "a", outcomes(), one), pack).rows] == [("qat", "4")]
    other = store_with(tmp_path / "c", outcomes(), replace(CELL, plugins="c"))
    assert said(found_in(other, pack))[0].endswith("has several, made by other code")


def test_where_both_were_computed_is_said(tmp_path):
    pack = pack_of(store_with(tmp_path / "theirs", outcomes()), tmp_path)
    found = found_in(store_with(tmp_path / "ours", outcomes(), env=environment(threads=2)), pack)
    assert found.differing == ["threads 1 → 2 (qat 4)"]
    assert found.made == f"{pack.name}: flatqat 0, torch 2.0, cpu"


def test_cells_of_an_old_file_are_named(tmp_path):
    pack = pack_of(store_with(tmp_path / "theirs", outcomes()), tmp_path)
    path = tmp_path / "theirs.json"
    data = json.loads(path.read_text())
    for stored in data["cells"].values():
        stored["label"] = "m-qat-4-s0-" + "0" * 12
        del stored["cell"], stored["env"]
    path.write_text(json.dumps({**data, "schema": 2}))
    old, store = read_pack(path), store_with(tmp_path / "ours", outcomes())
    assert old.sections == {}
    lines = said(found_in(store, old))
    assert (
        lines[1]
        == f"not compared: m-qat-4-s0-{'0' * 12}: {pack.name} is an old file, which has their labels alone"
    )


def test_segmentation_is_compared_by_the_matrix_of_all_images(tmp_path):
    store = Store(tmp_path / "streets")
    put(store, FP, matrices())
    found = found_in(store, pack_of(store, tmp_path))
    (rows,) = found.rows.values()
    (record,) = store.records()
    assert rows[0].before == pytest.approx(record.scores["id"]["miou"].value, abs=1e-9)
    assert {row.estimate.value for row in rows} == {0.0}


def test_texts_of_a_pack_cannot_steer_what_reads_a_report():
    stored = next(iter(read_baseline(FOLDER / "digits-c-v3.json").values()))
    cell = replace(stored.packed.cell, method="=\x1b[31m|q<b>")
    pack = Pack.of("theirs", [replace(stored, packed=replace(stored.packed, cell=cell))])
    texts = {form: render(FIRST_LOOK, None, form, "method", pack=pack) for form in ("md", "csv", "latex")}
    assert all("[31m" in text and "\x1b" not in text for text in texts.values())
    assert "<b>" not in texts["md"]
    assert ",=" not in texts["csv"]


def test_json_has_a_section_for_it(tmp_path):
    plain, *others = json.loads(render(FIRST_LOOK, None, "json", "method", pack=read_pack(OWN)))
    assert json.loads(render(FIRST_LOOK, None, "json", "method")) == [plain]
    (found,) = others
    assert found["title"] == f"{plain['title']} · beside reference"
    assert [row["id_difference"] for row in found["rows"]] == [0.0] * 3


def test_the_committed_packs_are_those_of_the_committed_results(monkeypatch):
    monkeypatch.setattr("sys.argv", ["reference_pack.py", "--check"])
    assert reference_pack.main() == 0
    assert {path.name for path in FOLDER.iterdir()} == {*reference_pack.PACKS}
    assert all(path.stat().st_size < 200_000 for path in FOLDER.iterdir())
