"""Pictures that are kept while cells are scored are those of the models, and of the same images for all."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat import registry
from flatqat.bench.cell import batches
from flatqat.bench.cell.restore import restore
from flatqat.bench.engine.distributed import SilentProgress
from flatqat.bench.engine.snapshots import snapshots_of
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records import pictures
from flatqat.bench.records.store import Store
from flatqat.bench.records.work import Work
from flatqat.console.progress import Progress
from flatqat.suite import Shift
from tests.helpers import HELPERS
from tests.helpers.running import run_plan


@pytest.fixture(scope="module", autouse=True)
def toy_map():
    registry.add_plugin(HELPERS / "toy_map.py")


def go(results: Path, progress: Progress | None = None, **changes):
    request = Request(
        suites=("toy-map",), methods=("fp", "qat"), bits=("3",), seeds=(0,), results=results, spaces=()
    )
    return run_plan(make_plan(replace(request, **changes)), progress)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    go(folder)
    return folder


def every_other(labels: np.ndarray) -> np.ndarray:
    """The map at half of its size: the pixels next to the centers, on the side of larger places."""
    return labels[1::2, 1::2]


def predictions(folder: Path, method: str, shift: int) -> dict[int, np.ndarray]:
    """What a stored cell predicts of each image of a shift, one by one, by the network itself."""
    store, suite = Store(folder), registry.load(registry.SUITES, "toy-map")
    (record,) = (r for r in store.records() if r.cell.method == method)
    model, data = restore(record.cell, suite, store), suite.shifts[shift].build(None)
    with torch.inference_mode():
        return {
            at: model.predict(image)[0].argmax(0).numpy() for at, (image, _) in enumerate(data.batches(1))
        }


def stored(folder: Path, method: str) -> dict[str, dict[int, np.ndarray]]:
    store = Store(folder)
    (record,) = (r for r in store.records() if r.cell.method == method)
    return store.pictures.read(record)


def same(found: dict[int, np.ndarray], expected: dict[int, np.ndarray]) -> bool:
    return all(np.array_equal(labels, expected[at]) for at, labels in found.items())


@pytest.mark.parametrize("method", ["fp", "qat"])
def test_they_are_what_the_network_predicts(results, method):
    found = stored(results, method)
    assert list(found) == ["id", "dark"]  # not `val`, which no table shows
    for place, shift in enumerate(("id", "dark")):
        assert len(found[shift]) == pictures.COUNT
        assert same(found[shift], predictions(results, method, place))
    assert not same(found["dark"], predictions(results, method, 0))


def test_images_and_truth_are_kept_once_and_are_those_of_the_suite(results):
    store, suite = Store(results), registry.load(registry.SUITES, "toy-map")
    for shift in suite.shifts:
        seen = store.pictures.seen("toy-map", shift.name)
        assert set(seen) == set(stored(results, "fp")[shift.name])
        ((images, masks),) = shift.build(None).batches(16)
        for at, one in seen.items():
            assert np.array_equal(one.truth, masks[at].numpy())
            pixels = torch.tensor(np.asarray(Image.open(io.BytesIO(one.image)))).permute(2, 0, 1)
            away = (255 * images - pixels).abs().mean((1, 2, 3))  # what JPEG costs is less than to be another
            assert int(away.argmin()) == at
            assert away[at] < 0.7 * away.sort().values[1]
    assert len([*results.glob("data/*/*.npz")]) == 2


def test_they_are_those_of_the_gallery(results):
    """`ImageData.sample` chooses both; its choice from more images contains that from fewer."""
    (data,) = (shift.build(None) for shift in registry.load(registry.SUITES, "toy-map").shifts[:1])
    assert (data.ids[sorted(stored(results, "fp")["id"])] == data.sample(pictures.COUNT).ids).all()


def test_large_ones_have_some_pixels_of_what_is_predicted(results, tmp_path, monkeypatch):
    whole = Store(results).pictures.seen("toy-map", "dark")
    monkeypatch.setattr(pictures, "LONGEST", 16)
    go(tmp_path, methods=("fp",))
    expected = predictions(results, "fp", 1)
    assert same(stored(tmp_path, "fp")["dark"], {at: every_other(labels) for at, labels in expected.items()})
    for at, one in Store(tmp_path).pictures.seen("toy-map", "dark").items():
        assert np.array_equal(one.truth, every_other(whole[at].truth))
        assert Image.open(io.BytesIO(one.image)).size == (16, 12)


def test_the_same_run_gives_the_same_bytes_whatever_the_batch(results, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "BATCH_VALUES", 1)  # one image at a time
    go(tmp_path)
    for path in sorted([*results.glob("pictures/*/*.npz"), *results.glob("data/*/*.npz")]):
        assert (tmp_path / path.relative_to(results)).read_bytes() == path.read_bytes()


def test_numbers_and_ids_are_those_of_cells_without_pictures(results, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "COUNT", 0)
    monkeypatch.setattr("flatqat.bench.engine.snapshots.COUNT", 0)
    go(tmp_path)
    assert not [*tmp_path.glob("pictures/*"), *tmp_path.glob("data/*/*")]
    records = [{r.cell.id: r for r in Store(folder).records()} for folder in (results, tmp_path)]
    assert records[0].keys() == records[1].keys()
    for one, other in zip(*(sorted(of.values(), key=lambda r: r.cell.id) for of in records), strict=True):
        assert (one.scores, one.outcomes_sha256) == (other.scores, other.outcomes_sha256)


@pytest.mark.parametrize(("limit", "count"), [(2, 2), (5, 3)])
def test_of_fewer_images_the_same_ones_are_kept(results, tmp_path, limit, count):
    (record,) = go(tmp_path, methods=("fp",), limit=limit)
    assert record.cell.limit == limit
    found = stored(tmp_path, "fp")["dark"]
    assert len(found) == count
    assert set(found) <= set(stored(results, "fp")["dark"])
    assert same(found, predictions(results, "fp", 1))  # its training is that of the whole set
    go(tmp_path, methods=("fp",))
    assert len(Store(tmp_path).pictures.seen("toy-map", "dark")) == 3


def test_they_are_seen_through_the_window(results, tmp_path):
    go(tmp_path, methods=("fp",), window="16:8")
    assert same(stored(tmp_path, "fp")["dark"], predictions(tmp_path, "fp", 1))
    assert not same(stored(tmp_path, "fp")["dark"], predictions(results, "fp", 1))


def test_a_run_that_was_cut_off_keeps_those_of_finished_shifts(results, tmp_path, monkeypatch):
    write = Work.write_scores

    def stops(self, cell, shift, *args):
        if shift == "dark":
            raise KeyboardInterrupt
        write(self, cell, shift, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "write_scores", stops)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path, methods=("fp",))
    go(tmp_path, methods=("fp",))
    for path in results.glob("pictures/*/*-fp-*.npz"):
        assert (tmp_path / path.relative_to(results)).read_bytes() == path.read_bytes()


def test_a_damaged_file_of_images_stops_no_run(results, tmp_path):
    file = tmp_path / "data" / "toy-map" / "dark.npz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    (record,) = go(tmp_path, methods=("fp",))
    assert record.status == "done"
    assert file.read_bytes() == (results / "data" / "toy-map" / "dark.npz").read_bytes()


def test_images_that_no_picture_can_be_made_of_cost_no_score(results, tmp_path, monkeypatch):
    made = []

    def fails(pixels):
        made.append(pixels)
        if len(made) == 2:
            raise TypeError("cannot handle this data type")
        return pictures.as_jpeg(pixels)

    monkeypatch.setattr("flatqat.bench.engine.snapshots.as_jpeg", fails)
    said = SilentProgress()
    records = go(tmp_path, said)
    assert [record.scores for record in records] == [Store(results).record(r.cell).scores for r in records]
    assert [line for line in said.lines if "pictures" in line] == [
        "pictures of id are not kept: TypeError: cannot handle this data type"
    ]
    assert list(stored(tmp_path, "fp")) == list(stored(tmp_path, "qat")) == ["dark"]
    assert [path.stem for path in Store(tmp_path).pictures.seen_paths()] == ["dark"]


def test_a_pixel_without_a_prediction_has_none_in_the_picture():
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1] = 1
    logits[0, 0, 0, 1] = torch.nan
    shots = snapshots_of(Shift(name="id", family="id", build=lambda root: None), None, 1, per_pixel=True)
    shots.begin(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long))
    shots.add("a", logits)
    assert shots.of("a")[0].tolist() == [[1, 255], [1, 1]]
    assert shots.of("b") == {}


def test_classification_has_none(tmp_path):
    registry.add_plugin(HELPERS / "toy.py")
    go(tmp_path, suites=("toy",), methods=("fp",))
    assert not [*tmp_path.glob("pictures/*"), *tmp_path.glob("data/*/*")]


@pytest.mark.parametrize(
    ("name", "groups", "per_pixel", "taken"),
    [
        ("fog", None, True, 3),
        ("fog", ((0, 1), (2,)), True, 0),
        ("val", None, True, 0),
        ("fog", None, False, 0),
    ],
)
def test_pictures_are_taken_where_labels_are_classes_of_pixels(name, groups, per_pixel, taken):
    shift = Shift(name=name, family="f", build=lambda root: None, groups=groups)
    shots = snapshots_of(shift, None, 5, per_pixel=per_pixel)
    shots.begin(torch.zeros(5, 3, 8, 8), torch.zeros(5, 8, 8, dtype=torch.long))
    assert len(shots.seen) == taken
