"""Committed records of schema 1 are rewritten in schema 2: the same ids, and the same reports to the byte."""

import json
import shutil
from fnmatch import fnmatch

import pytest
from typer.testing import CliRunner

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.gate.check import check
from flatqat.bench.gate.compare import Rules
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.cli import app
from flatqat.exit_codes import OK
from tests.helpers import RESULTS


def migrate(folder):
    return CliRunner().invoke(app, ["results", "migrate", str(folder)])


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("part", ["[fq]*-s[01]-*", "*"])  # fp and qat in every format; the whole study
def test_reports_before_and_after_are_the_same_to_the_byte(tmp_path, part):
    folder = tmp_path / "first-study"
    shutil.copytree(RESULTS / "first-study", folder)
    for file in (folder / "records").glob("*/*"):
        if not fnmatch(file.name, f"cifar_resnet20-{part}"):
            file.unlink()
    store = Store(folder)
    before, records, baseline = files(folder), store.records(), tmp_path / "baseline.json"
    views = [(form, view) for form in ("md", "csv", "json", "latex") for view in ("method", "family")]
    views = [("csv", "family"), ("study", "method")] if part == "*" else views
    reports = [render(store, None, form, view, "qat") for form, view in views]
    write_baseline(store, baseline)

    done = migrate(folder)
    assert done.output == f"{len(records)} records: {len(records)} migrated to schema 2\n"
    after = files(folder)
    assert after.keys() == before.keys()
    for file in after:
        if file.startswith("records/") and file.endswith(".json"):
            assert json.loads(after[file])["schema"] == 2
        else:
            assert after[file] == before[file]
    assert store.records() == records
    assert [render(store, None, form, view, "qat") for form, view in views] == reports
    assert check(store, baseline, Rules(max_drop=0, p=1, two_sided=True, retraining_sd=0)).code == OK

    assert migrate(folder).output == f"{len(records)} records: already schema 2\n"
    assert files(folder) == after


def test_a_folder_without_records_is_refused(tmp_path):
    assert "expected records in" in str(migrate(tmp_path).exception)
    assert "nowhere: expected a folder, found none" in str(migrate(tmp_path / "nowhere").exception)


def test_nothing_is_changed_if_a_record_is_damaged(tmp_path):
    shutil.copytree(RESULTS / "first-look", tmp_path, dirs_exist_ok=True)
    last = Store(tmp_path).record_paths()[-1]
    last.write_bytes(last.read_bytes().replace(b'"status": "done"', b'"status": "finished"'))
    before = files(tmp_path)
    assert f"{last}: status: expected one of" in str(migrate(tmp_path).exception)
    assert files(tmp_path) == before
