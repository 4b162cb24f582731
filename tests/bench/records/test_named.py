"""Suggested commands name the results folder that they are about."""

from pathlib import Path

import pytest

from flatqat.bench.records.named import results_option
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError


def test_the_default_needs_no_option():
    assert results_option(Path("results")) == ""
    assert results_option(Path("my runs")) == " --results 'my runs'"


def test_an_empty_folder_is_filled_by_a_command_that_names_it(tmp_path):
    (tmp_path / "records").mkdir()
    with pytest.raises(StoreError, match=rf"make some with: flatqat bench run --results {tmp_path}$"):
        Store(tmp_path).some_records()
