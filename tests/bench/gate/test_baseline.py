"""The baseline file: what it holds, and that a damaged or hostile one is refused, file and field named."""

import base64
import json
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest

from flatqat.bench.gate import packing
from flatqat.bench.gate.baseline import read_baseline, write_baseline
from flatqat.bench.gate.check import check
from flatqat.bench.gate.packing import Unpacker, pack
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.spec import FieldError
from tests.helpers.gate_records import CELL, N, outcomes, store_with
from tests.helpers.records import environment
from tests.helpers.street_records import FP, matrices, put


def text(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()


@pytest.fixture
def top1(tmp_path):
    path = tmp_path / "b.json"
    write_baseline(store_with(tmp_path / "old", outcomes()), path)
    return path


@pytest.fixture
def miou(tmp_path):
    store, path = Store(tmp_path / "old"), tmp_path / "b.json"
    put(store, FP, matrices())
    write_baseline(store, path)
    return path


def test_it_holds_cells_environments_seeds_and_images(tmp_path, top1):
    (cell,) = read_baseline(top1).values()
    assert cell.packed.cell == CELL
    assert cell.packed.env == environment()
    assert (cell.packed.data, cell.packed.weights) == ("d", None)
    for shift, right in outcomes().items():
        np.testing.assert_array_equal(cell.values[shift], right)
    assert len(top1.read_text()) < 4000 + 4 * N / 8 * 4 / 3


def test_it_is_the_same_to_the_byte_when_written_again(tmp_path, top1):
    before = top1.read_bytes()
    write_baseline(Store(tmp_path / "old"), top1)
    assert top1.read_bytes() == before


def refused(path, tmp_path, change, field):
    data = json.loads(path.read_text())
    ((cell_id, cell),) = data["cells"].items()
    path.write_text(json.dumps({**data, "cells": {cell_id: {**cell, **change(cell)}}}))
    with pytest.raises(StoreError) as error:
        check(Store(tmp_path / "old"), path)
    assert str(error.value).startswith(f"{path}: cells.{cell_id}.{field}: expected "), error.value


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cell": None}, "cell"),
        ({"cell": {"suite": "s"}}, "cell.suite_version"),
        ({"label": 3}, "label"),
        ({"env": {"device": "cpu"}}, "env.threads"),
        ({"metric": "foo"}, "metric"),
        ({"metric": "miou"}, "counts"),
        ({"shifts": {}}, "shifts"),
        ({"weights": 3}, "weights"),
        ({"nested": 1}, "nested"),
        ({"images": {"id": 9}}, "images"),
        ({"surplus": 9}, "surplus"),
    ],
    ids=str,
)
def test_a_field_of_another_kind_is_refused(tmp_path, top1, change, field):
    refused(top1, tmp_path, lambda cell: change, field)


@pytest.mark.parametrize("images", [-1, 0, 1, N - 8, N + 8, 10**12, True, 1.5, "x", None, 10**30], ids=str)
def test_another_number_of_images_is_refused(tmp_path, top1, images):
    kind = type(images) is int and images < 2**63
    refused(
        top1,
        tmp_path,
        lambda cell: {"images": {**cell["images"], "id": images}},
        "correct.id" if kind else "images.id",
    )


CUT = text(b"x" * 250)[:-8] + "AAAA"


@pytest.mark.parametrize(
    "entry", ["", "AA==", "no base64", "ä", text(b""), text(b"x" * 9), CUT, 3, None], ids=str
)
@pytest.mark.parametrize("form", ["correct", "counts"])
def test_damaged_outcomes_are_refused(tmp_path, request, form, entry):
    path = request.getfixturevalue("top1" if form == "correct" else "miou")
    refused(path, tmp_path, lambda cell: {form: {**cell[form], "id": entry}}, f"{form}.id")


def test_impossible_counts_are_refused(tmp_path, miou):
    more = np.array([[[2, 0, 0], [1, 1, 1]]] * 30, "<u4")
    refused(
        miou, tmp_path, lambda cell: {"counts": {**cell["counts"], "id": text(more.tobytes())}}, "counts.id"
    )


@pytest.mark.parametrize("form", ["correct", "counts"])
def test_a_bomb_is_refused_before_it_is_large(tmp_path, request, form):
    """64 MB in 64 kB, as 4 GB would be in 4 MB."""
    path = request.getfixturevalue("top1" if form == "correct" else "miou")
    bomb = text(bytes(2**26))
    assert len(bomb) < 2**17
    tracemalloc.start()
    refused(path, tmp_path, lambda cell: {form: {**cell[form], "id": bomb}}, f"{form}.id")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("unpack", [Unpacker.bits, Unpacker.counts])
def test_all_images_of_a_file_share_one_allowance(monkeypatch, unpack):
    """Each is small enough, but not all together."""
    monkeypatch.setattr(packing, "MOST_BYTES", 100_000)
    unpacker, images = Unpacker(), 30_000 if unpack is Unpacker.bits else 1_000
    packed = text(bytes(-(-images // 8)) if unpack is Unpacker.bits else bytes(8 * images * 2))
    for _ in range(3):
        unpack(unpacker, packed, images)
    with pytest.raises(FieldError, match="take 100,000 bytes at most"):
        unpack(unpacker, packed, images)


def test_counts_of_many_classes_come_back():
    counts = np.random.default_rng(0).integers(0, 2**31, (50, 1, 150))
    both = np.concatenate([counts, counts * 2], axis=1)
    packed = pack("miou", {"id": both})["counts"]["id"]
    np.testing.assert_array_equal(Unpacker().counts(packed, 50), both)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "expected JSON"),
        ("{}", "schema: expected a whole number"),
        ("[]", "expected a JSON object"),
        ('{"schema": "3", "cells": {}}', "schema: expected a whole number"),
        ('{"schema": 9, "cells": {}}', "schema: expected 3 or older, got 9; update flatqat"),
        ('{"schema": 3}', "cells: expected one or more"),
        ('{"schema": 3, "cells": {}}', "cells: expected one or more"),
        ('{"schema": 3, "cells": []}', "cells: expected an object"),
        ('{"schema": 1, "cells": {"a": {}}}', "cells.a.shifts: expected a value"),
        ('{"schema": 1, "cells": {"a": []}}', "cells.a: expected an object"),
        ('{"schema": 2, "cells": {"a": {"label": "x", "shifts": {}, "images": {}}}}', "cells.a.shifts: exp"),
        ('{"schema": 2, "cells": {"a": {"shifts": {}, "images": {}}}}', "cells.a.label: expected a text"),
        ("[" * 100_000, "expected JSON"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path, content, said):
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(StoreError) as error:
        check(Store(tmp_path), path)
    assert str(error.value).startswith(f"{path}: {said}"), error.value


def test_the_cell_of_another_id_is_refused(tmp_path, top1):
    """Whoever edits the seed of a cell edits what its outcomes are of."""
    refused(top1, tmp_path, lambda cell: {"cell": replace(CELL, seed=5).to_dict()}, "cell")
