"""Pictures in a results folder: stored and read, merged, removed and checked; nothing is taken on trust."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatqat.bench.records import pictures
from flatqat.bench.records.merge import merge
from flatqat.bench.records.migrate import migrate
from flatqat.bench.records.pictures import Pictures, SeenImage, as_jpeg, few, kept_pixels
from flatqat.bench.records.remove import bytes_of, images_of_no_other, remove
from flatqat.bench.records.sound import Examined
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from tests.helpers import street_records
from tests.helpers.street_pictures import FP, QAT, SHAPE, put_with_pictures, store_with_pictures


@pytest.fixture
def store(tmp_path) -> Store:
    return store_with_pictures(tmp_path / "r")


def read(store: Store, cell=FP):
    return store.pictures.read(store.record(cell))


def test_what_is_written_is_read(store):
    found = read(store)
    assert {shift: list(of) for shift, of in found.items()} == {"fog": [2, 7], "night": [2, 7]}
    assert found["fog"][7].shape == SHAPE
    assert (found["fog"][7] != read(store, QAT)["fog"][7]).any()


@pytest.mark.parametrize(("height", "width"), [(5, 7), (240, 240), (241, 30), (1024, 2048), (1, 5000)])
def test_small_pictures_keep_their_sides_in_ratio(height, width):
    rows, columns = kept_pixels(height, width)
    factor = max(1, max(height, width) / 240)
    assert (len(rows), len(columns)) == (max(1, round(height / factor)), max(1, round(width / factor)))
    for kept, side in ((rows, height), (columns, width)):
        centers = (np.arange(len(kept)) + 0.5) * side / len(kept) - 0.5
        assert (np.abs(kept - centers) <= 0.5).all()


def test_predictions_of_other_outcomes_are_not_shown(store):
    record = store.record(FP)
    assert store.pictures.read(replace(record, outcomes_sha256="0" * 64)) == {}
    assert store.pictures.read(replace(record, outcomes_sha256="")) == {}
    street_records.put(store, FP, street_records.matrices(3))  # scored again, by a run without pictures
    assert read(store) == {}
    assert not store.pictures.path(FP).exists()


def test_images_are_added_and_never_replaced(store):
    before = store.pictures.seen("streets", "fog")
    other = SeenImage(image=as_jpeg(np.zeros((*SHAPE, 3), np.uint8)), truth=np.zeros(SHAPE, np.uint8))
    store.pictures.add_seen("streets", "fog", {2: other, 9: other})
    after = store.pictures.seen("streets", "fog")
    assert list(after) == [2, 7, 9]
    assert after[2].image == before[2].image != other.image


def test_shifts_of_severities_are_files_too(store):
    one = store.pictures.seen("streets", "fog")[2]
    store.pictures.add_seen("streets", "fog/3", {0: one})
    assert store.pictures.seen("streets", "fog/3")[0].image == one.image
    assert store.pictures.seen("streets", "..") == store.pictures.seen("streets", "a\0b") == {}


def damage(path: Path, **arrays) -> None:
    with np.load(path) as file:
        known = dict(file)
    for name in [name for name in arrays if arrays[name] is None]:
        del known[name], arrays[name]
    np.savez(path, **{**known, **arrays})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"fog/2": np.zeros((1, 241), np.uint8)}, "sides of 1 to 240, got uint8"),
        ({"fog/2": np.zeros((0, 3), np.uint8)}, "sides of 1 to 240"),
        ({"fog/2": np.zeros((3, 3), np.int64)}, "label maps, uint8"),
        ({"fog/2": np.zeros((3, 3, 3), np.uint8)}, "label maps, uint8"),
        ({"fog/x": np.zeros((3, 3), np.uint8)}, "the place of an image, got 'x'"),
        ({"fog/2": np.array([{}])}, "damaged"),
    ],
)
def test_damaged_predictions_are_named(store, arrays, message):
    path = store.pictures.path(FP)
    damage(path, **arrays)
    with pytest.raises(StoreError, match=message):
        read(store)
    assert [line for line in Examined(store).problems if message in line and str(path) in line]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image/2": np.frombuffer(b"<svg onload=alert(1)>", np.uint8)}, "a JPEG image, got other bytes"),
        ({"truth/2": np.zeros((3, 3), np.uint8)}, "of one size"),
        ({"truth/2": None}, "an image and its truth"),
        ({"other": np.zeros(3)}, "an image and its truth"),
    ],
)
def test_damaged_images_are_named(store, arrays, message):
    path = store.root / "data" / "streets" / "fog.npz"
    damage(path, **arrays)
    with pytest.raises(StoreError, match=message):
        store.pictures.seen("streets", "fog")
    assert [line for line in Examined(store).problems if message in line and str(path) in line]


def test_a_file_that_would_fill_the_memory_is_refused_before_it_does(store):
    path = store.pictures.path(FP)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        large = io.BytesIO()
        np.save(large, np.zeros((4000, 4000), np.uint8))  # a label map, were it not for its size
        file.writestr("fog/2.npy", large.getvalue())
    assert path.stat().st_size < 10**6
    with pytest.raises(StoreError, match="damaged file"):
        read(store)


def test_the_check_finds_what_belongs_to_nothing(store):
    before = Examined(store).problems
    store.pictures.path(FP).rename(store.pictures.path(replace(FP, seed=5)))
    damage(
        store.pictures.path(QAT),
        **{"haze/0": np.zeros(SHAPE, np.uint8), "fog/2": np.full(SHAPE, 7, np.uint8)},
    )
    (gone, haze, classes) = sorted(
        {line.removeprefix(f"{store.root}/pictures/streets/") for line in Examined(store).problems}
        - {*before}
    )
    assert gone == f"{replace(FP, seed=5).label}.npz: expected a record of its name, got none"
    assert haze.endswith("expected shifts that its record has scores of, got haze")
    assert classes.endswith("fog/2: expected classes below 3, got 7")


def test_a_merge_carries_them(store, tmp_path):
    into, other = tmp_path / "all", Store(tmp_path / "other")
    put_with_pictures(other, replace(QAT, seed=1), 2)
    merge([store.root, other.root], into)
    merged = Store(into)
    for cell, of in ((FP, store), (QAT, store), (replace(QAT, seed=1), other)):
        assert merged.pictures.path(cell).read_bytes() == of.pictures.path(cell).read_bytes()
        assert read(merged, cell)
    assert merged.pictures.seen("streets", "fog").keys() == {2, 7}


def test_a_merge_adds_what_the_other_folder_lacks(store, tmp_path):
    """Records without pictures, of an older version, meet the same ones with pictures."""
    old = Store(tmp_path / "old")
    street_records.put(old, FP, street_records.matrices())
    one = store.pictures.seen("streets", "fog")[2]
    old.pictures.add_seen("streets", "fog", {5: one})
    merge([store.root], old.root)
    assert read(old).keys() == {"fog", "night"}
    assert old.pictures.seen("streets", "fog").keys() == {2, 5, 7}


def test_a_merge_replaces_no_picture(store, tmp_path):
    other = Store(tmp_path / "other")
    put_with_pictures(other, FP, 0)
    other.pictures.write(other.record(FP), {"fog": {2: np.zeros(SHAPE, np.uint8)}})
    merge([store.root], other.root)
    assert {shift: list(of) for shift, of in read(other).items()} == {"fog": [2]}


def test_a_damaged_picture_stops_a_merge_before_anything_is_written(store, tmp_path):
    store.pictures.path(QAT).write_bytes(b"x")
    with pytest.raises(StoreError, match="expected stored arrays"):
        merge([store.root], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_cell_that_is_removed_takes_them_along(store):
    size = store.pictures.path(FP).stat().st_size
    record = store.record(FP)
    with_pictures = bytes_of(record, store)
    remove([record], store)
    assert not store.pictures.path(FP).exists()
    assert store.pictures.path(QAT).exists()
    remove([store.record(QAT)], store)
    assert not (store.root / "pictures" / "streets").exists()
    street_records.put(store, FP, street_records.matrices())
    assert bytes_of(store.record(FP), store) == with_pictures - size


def test_images_go_with_the_last_cell_that_was_scored_on_them(store):
    def seen():
        return {f"{path.parent.name}/{path.stem}" for path in store.pictures.seen_paths()}

    store.pictures.add_seen("streets", "gone", store.pictures.seen("streets", "fog"))
    store.pictures.add_seen("others", "fog", store.pictures.seen("streets", "fog"))
    qat, fp = store.record(QAT), store.record(FP)
    store.write_scores(FP, "fog", {}, {})  # of a cell that is computed again
    assert images_of_no_other([qat], store) == []
    store.drop_work(FP)
    remove([qat], store)
    assert seen() == {"streets/fog", "streets/night", "others/fog"}
    remove([fp], store)
    assert seen() == {"others/fog"}
    assert not (store.root / "data" / "streets").exists()


def test_migrating_and_flatness_leave_them(store):
    migrate(store)
    store.write_record(replace(store.record(FP), last_run="2030-01-01"))
    assert read(store)


def test_of_many_shifts_those_of_the_middle_severity_are_shown():
    assert few({"id": None, "fog": None}) == ["id", "fog"]
    names = {"id": None, **{f"{kind}/{level}": level for kind in "abc" for level in range(1, 6)}}
    assert few(names) == ["id", "a/3", "b/3", "c/3"]


def test_reading_makes_no_folder(tmp_path):
    assert Pictures(tmp_path / "x").seen("streets", "fog") == {}
    assert not (tmp_path / "x").exists()
    assert pictures.COUNT == 3
