"""Seeds of one row that were scored on other shifts."""

from dataclasses import replace

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.errors import StoreError
from tests.helpers.records import margins_of
from tests.helpers.study_records import CELL, put, right_of


@pytest.mark.parametrize("lacking", [0, 1])
def test_a_row_whose_seeds_have_other_shifts_is_refused(tmp_path, lacking):
    """Whichever comes first: the mean over shifts would be that of others."""
    store = Store(tmp_path)
    for seed in (0, 1):
        right = right_of(seed, 0.1, {}, [seed])
        record = put(store, replace(CELL, seed=seed), right)
        if seed == lacking:
            shifts = {name: shift for name, shift in record.protocol.shifts.items() if name != "blur/1"}
            scores = {name: record.scores[name] for name in shifts}
            record = replace(record, protocol=replace(record.protocol, shifts=shifts), scores=scores)
            store.write_record(record, margins_of({name: right[name] for name in shifts}))
    said = (
        r"expected the same shifts with all seeds, got blur/1 with only one of m-qat-4-s0-\w+ and m-qat-4-s1-"
    )
    with pytest.raises(StoreError, match=said):
        render(store, None, "md", "method")
