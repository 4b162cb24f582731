"""`flatqat bench report --with`: on a terminal and in a file, and what is refused in one line."""

import pytest

from tests.helpers import RESULTS
from tests.helpers.command_line import assert_one_line_error

FIRST_LOOK = RESULTS / "first-look"
PACK = RESULTS / "baselines" / "digits-c.json"


@pytest.mark.parametrize("pack", ["reference", PACK])
def test_a_table_beside_a_pack(flatqat, tmp_path, pack):
    run = flatqat("bench", "report", "--results", FIRST_LOOK, "--with", pack)
    assert run.code == 0
    assert f"digits-c v3 · tiny · recipe default · beside {pack}" in run.out
    assert run.out.count(" 0.0 [") == 6
    plain = flatqat("bench", "report", "--results", FIRST_LOOK).out
    table, _, _ = plain.partition("ID, OOD: top-1")
    assert run.out.startswith(table.rstrip())
    written = flatqat(
        "bench", "report", "--results", FIRST_LOOK, "--with", pack, "--output", tmp_path / "report.md"
    )
    assert written.code == 0
    assert " 0.0 [" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"cells": {"a": 1}, "schema": 3}', PACK])
def test_a_damaged_pack_is_refused(flatqat, tmp_path, content):
    path = tmp_path / "pack.json"
    path.write_bytes(content if isinstance(content, bytes) else content.read_bytes()[:-4000])
    assert_one_line_error(flatqat("bench", "report", "--results", FIRST_LOOK, "--with", path), "pack.json")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (("--format", "study"), "--format table, md, csv, json, latex, got study"),
        (("--by", "shift"), "no --by"),
        (("--plot", "pareto", "--output", "p.png"), "no --plot"),
    ],
    ids=str,
)
def test_what_has_no_place_for_a_pack(flatqat, more, wanted):
    run = flatqat("bench", "report", "--results", FIRST_LOOK, "--with", "reference", *more)
    assert_one_line_error(run, f"--with: expected {wanted}")


@pytest.mark.parametrize("name", ["refrence", "absent.json"])
def test_a_pack_that_is_not_there(flatqat, name):
    run = flatqat("bench", "report", "--results", FIRST_LOOK, "--with", name)
    assert_one_line_error(run, f"{name}: cannot be read: No such file")
