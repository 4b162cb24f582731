"""A segmentation suite through the whole benchmark: train, measure, evaluate, record, and the gallery."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.cell import batches
from flatqat.bench.cell.restore import restore
from flatqat.bench.engine.train import starting_point, training_method
from flatqat.bench.gallery.page import write_page
from flatqat.bench.gallery.predictions import Column, chosen, chosen_shifts, gallery
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.data.images.palette import painted, palette
from flatqat.errors import UsageError
from flatqat.models.sliding import slide
from flatqat.spec import Window
from tests.helpers import HELPERS
from tests.helpers.running import run_plan, session_of
from tests.helpers.street_records import FP, matrices, put

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def toy_map():
    registry.add_plugin(HELPERS / "toy_map.py")


def go(results: Path, **changes):
    request = Request(
        suites=("toy-map",), methods=("fp", "ptq", "qat", "anchor"), bits=("3",), seeds=(0,), results=results
    )
    return run_plan(make_plan(replace(request, **changes)))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    go(folder)
    return folder


def miou(record, shift="id"):
    return record.scores[shift]["miou"].value


def test_records_of_label_maps(results):
    records = {r.cell.method: r for r in Store(results).records()}
    assert {r.status for r in records.values()} == {"done"}
    assert miou(records["fp"]) > 80
    assert miou(records["fp"]) > miou(records["fp"], "dark")
    assert miou(records["qat"]) > miou(records["ptq"])
    assert records["qat"].protocol.class_names == ("ground", "red", "blue")
    assert records["qat"].flatness.quantized.lambda_max.value > 0


def test_scores_are_those_of_a_count_by_hand(results):
    """Predict again, count pixel by pixel."""
    store = Store(results)
    record = next(r for r in store.records() if r.cell.method == "qat")
    suite = registry.load(registry.SUITES, "toy-map")
    model = restore(record.cell, suite, store)
    confusion = np.zeros((3, 3), int)
    with torch.inference_mode():
        for image, mask in suite.shifts[0].build(None).batches(1):
            labels = model.predict(image).argmax(1)
            for truth, label in zip(mask.flatten().tolist(), labels.flatten().tolist(), strict=True):
                if truth != 255:
                    confusion[truth, label] += 1
    hits = np.diag(confusion)
    iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
    assert miou(record) == pytest.approx(100 * iou.mean(), rel=1e-12)
    assert store.outcomes(record.cell)["id:confusion"].sum(0).tolist() == confusion.tolist()


def test_numbers_do_not_depend_on_the_batch_size(results, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "BATCH_VALUES", 1)  # one image at a time
    (alone,) = go(tmp_path, methods=("fp",), spaces=())
    together = next(r for r in Store(results).records() if r.cell.method == "fp")
    assert alone.cell.id == together.cell.id
    for shift in ("id", "dark"):
        a, b = (Store(folder).outcomes(alone.cell)[f"{shift}:confusion"] for folder in (tmp_path, results))
        assert np.array_equal(a, b)


def test_a_window_is_part_of_what_a_cell_is(results, tmp_path):
    """At the image's size it changes no number; smaller, it does, from the same weights."""
    whole = next(r for r in Store(results).records() if r.cell.method == "fp")
    (same,) = go(tmp_path, methods=("fp",), spaces=(), window="24x32")
    (small,) = go(tmp_path, methods=("fp",), spaces=(), window="16:8")
    assert same.protocol.window == "24x32:16x21"
    assert len({whole.cell.id, same.cell.id, small.cell.id}) == 3
    assert len({r.cell.training_id for r in (whole, same, small)}) == 1
    assert miou(same, "dark") == miou(whole, "dark")
    assert miou(small, "dark") != miou(whole, "dark")
    text = render(Store(tmp_path), None, "md", "method")
    assert sum("###" in line for line in text.splitlines()) == 2  # never in one table
    assert "in a sliding window of 24x32:16x21 (size:stride)" in text
    assert "that slides" not in render(Store(results), None, "md", "method")


def test_a_window_changes_nothing_in_training(tmp_path):
    """Neither the step that is selected nor the valley of SWAD: cells of all windows share their weights."""
    settings = {"recipe": {"select_every": "3"}, "swad": {"every": "1"}}
    weights = []
    for size in ("whole", "6:5"):
        (*_, record) = go(tmp_path / size, methods=("swad",), spaces=(), window=size, settings=settings)
        assert record.cell.method == "swad"
        weights.append(load_file(Store(tmp_path / size).weights_path(record.cell)))
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


NET = """
from flatqat.models.base import Normalized
from flatqat.models.tiny_seg import TinySeg
from flatqat.spec import Window

def make(classes):
    net = TinySeg(classes)
    net.classify.weight.data.mul_(100)  # so that small differences of features show
    return Normalized(net, (0, 0, 0), (1, 1, 1), task="segmentation", window=Window.parse("12:10"))
"""


def test_the_loss_that_a_rule_watches_is_that_of_labeled_pixels_through_the_networks_own_window(tmp_path):
    """Networks that see windows alone may not have the memory, or the positions, for a whole image."""
    (tmp_path / "net.py").write_text(NET)
    request = Request(
        suites=("toy-map",),
        methods=("swad",),
        models=(f"file:{tmp_path}/net.py:make",),
        seeds=(0,),
        window="16:8",
        results=tmp_path,
    )
    job = next(job for job in make_plan(request).scored() if job.cell.method == "swad")
    model = starting_point(replace(job, parent=None), Store(tmp_path)).train()
    found = training_method(job, model, session_of(request)).setup.val_loss()
    images, masks = job.suite.val(None).batch(torch.arange(8))
    with torch.no_grad():
        own, whole, as_scored = (
            F.cross_entropy(see(images), masks, ignore_index=255).item()
            for see in (
                lambda images: slide(model, images, Window.parse("12:10")),
                model,
                lambda images: slide(model, images, Window.parse("16:8")),
            )
        )
    assert found == pytest.approx(own, rel=1e-6)  # batches are summed in another order
    assert found != pytest.approx(whole, rel=1e-4)
    assert found != pytest.approx(as_scored, rel=1e-4)


def test_models_and_suites_of_different_tasks_are_refused(tmp_path):
    with pytest.raises(UsageError, match="expected one for segmentation, which toy-map is"):
        go(tmp_path, models=("tiny",))
    with pytest.raises(UsageError, match="--window: expected a segmentation suite"):
        go(tmp_path, suites=("digits-c",), window="16")


def test_the_gallery_shows_what_the_models_predict(results, tmp_path):
    """Every picture of a prediction is the palette at the labels that the model gives."""
    page = gallery(["tiny-seg-qat"], tmp_path, results, None, shifts=(), images=2, device="cpu", threads=1)
    text = page.read_text()
    for part in ("squares", "ground truth", "fp seed 0", "qat 3 seed 0", "anchor 3 seed 0", "ptq 3 seed 0"):
        assert part in text
    assert {p.name for p in tmp_path.glob("*.png")} == {"id.png", "dark.png"}
    assert len(list((tmp_path / "dark").glob("*.png"))) == 2 * 6
    store, suite = Store(results), registry.load(registry.SUITES, "toy-map")
    model = restore(store.find("tiny-seg-qat").cell, suite, store)
    image, mask = suite.shifts[1].build(None).sample(2).batch(torch.tensor([0]))
    with torch.inference_mode():
        labels = model.predict(image)[0].argmax(0).numpy()
    colors = palette(suite.class_names)
    shown = np.asarray(Image.open(*(tmp_path / "dark").glob("1-*-qat-3-seed-0.png")))
    assert np.array_equal(shown, painted(labels, colors))
    truth = np.asarray(Image.open(tmp_path / "dark" / "1-2-ground-truth.png"))
    assert np.array_equal(truth, painted(mask[0].numpy(), colors))
    assert not truth[:, :2].any()  # not labeled
    accuracy = 100 * float((labels == mask[0].numpy())[mask[0] != 255].mean())
    assert f"{accuracy:.1f}% of pixels" in text


def test_cells_of_one_name_have_columns_of_their_own(tmp_path):
    """Two full-precision cells that differ in the window alone."""
    records = [go(tmp_path, methods=("fp",), spaces=(), window=size)[0] for size in ("24x32", "8:8")]
    names, options = [r.cell.id for r in records], {"shifts": ("id",), "images": 1}
    text = gallery(names, tmp_path / "g", tmp_path, None, **options, device="cpu", threads=1).read_text()
    for record in records:
        assert f"fp seed 0 ({record.cell.id})" in text
        assert f"mIoU {miou(record):.1f}" in text
        (file,) = (tmp_path / "g" / "id").glob(f"*{record.cell.id}.png")
        suite = registry.load(registry.SUITES, "toy-map")
        (image, _), *_ = suite.shifts[0].build(None).sample(1).batches(1)
        with torch.inference_mode():
            labels = restore(record.cell, suite, Store(tmp_path)).predict(image)[0].argmax(0).numpy()
        assert np.array_equal(np.asarray(Image.open(file)), painted(labels, palette(suite.class_names)))


def test_one_cell_brings_those_of_its_bits_and_seed(tmp_path):
    store = Store(tmp_path)
    cells = [replace(FP, seed=seed) for seed in (0, 1)]
    cells += [
        replace(FP, method=method, quant=bits, seed=seed)
        for method, bits, seed in (("qat", "4", 0), ("qat", "4", 1), ("qat", "3", 0), ("sam", "4", 0))
    ]
    for cell in cells:
        put(store, cell, matrices())
    shown = [(r.cell.method, r.cell.quant, r.cell.seed) for r in chosen([cells[2].id], store)]
    assert sorted(shown) == [("fp", "fp", 0), ("qat", "4", 0), ("sam", "4", 0)]
    assert len(chosen([cells[2].id, cells[4].id], store)) == 2


def test_of_many_shifts_those_of_the_middle_severity_are_shown():
    suite = registry.load(registry.SUITES, "cityscapes-c-live")
    names = [shift.name for shift in chosen_shifts(suite, ())]
    assert names[0] == "id"
    assert len(names) == 16
    assert all(name.endswith("/3") for name in names[1:])
    assert [shift.name for shift in chosen_shifts(suite, ("fog/5", "id", "fog/5"))] == ["fog/5", "id"]


def test_the_gallery_leaves_out_what_the_cells_were_not_scored_on(results, tmp_path, monkeypatch):
    """As after clear-weather images were added to a data root."""
    suite = registry.load(registry.SUITES, "toy-map")
    more = replace(suite, shifts=(*suite.shifts, replace(suite.shifts[1], name="clear", in_mean=False)))
    monkeypatch.setattr("flatqat.bench.gallery.predictions.suite_of", lambda _: more)
    options = {"images": 1, "device": "cpu", "threads": 1}
    gallery(["tiny-seg-qat"], tmp_path / "g", results, None, shifts=(), **options)
    assert {path.name for path in (tmp_path / "g").glob("*.png")} == {"id.png", "dark.png"}
    with pytest.raises(UsageError, match="unknown shift of toy-map 'clear': expected one of dark, id"):
        gallery(["tiny-seg-qat"], tmp_path / "g", results, None, shifts=("clear",), **options)


def test_the_gallery_has_no_images_that_the_cells_were_not_scored_on(tmp_path):
    """A second cell was scored on five images of each shift, where the first has two."""
    names = [go(tmp_path, methods=("fp",), spaces=(), limit=limit)[0].cell.id for limit in (2, 5)]
    options = {"shifts": ("dark",), "images": 4, "device": "cpu", "threads": 1}
    gallery(names, tmp_path / "g", tmp_path, None, **options)
    assert len(list((tmp_path / "g" / "dark").glob("*-1-image.png"))) == 2


def test_titles_that_are_hard_on_files_and_pages(tmp_path):
    """Every column keeps its own picture, whatever its title; a page is text, whatever the names say."""
    suite = replace(
        registry.load(registry.SUITES, "toy-map"), class_names=("a<b>", "c & d", 'e"f'), title="<script>"
    )
    titles = ["qat 4 (keep a)", "qat 4 (keep a*)", "qat 4 (keep " + "layer.*.b, " * 40 + ")"]
    pictures = [np.full((4, 6, 3), 60 * at, np.uint8) for at in range(3)]
    row = [Column(title=title, picture=one) for title, one in zip(titles, pictures, strict=True)]
    colors = palette(suite.class_names)
    text = write_page(tmp_path, suite, {"a/1": [row]}, {"a/1": {}}, colors=colors).read_text()
    files = re.findall(r'img src="([^"]+)"', text)
    assert len(set(files)) == 3
    for file, one in zip(files, pictures, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / file)), one)
    for raw, shown in (("a<b>", "a&lt;b&gt;"), ("c & d", "c &amp; d"), ("<script>", "&lt;script&gt;")):
        assert raw not in text
        assert shown in text


def test_the_gallery_refuses_what_it_cannot_show(results, tmp_path):
    options = {"images": 1, "device": "cpu", "threads": 1}
    with pytest.raises(UsageError, match="did you mean 'dark'"):
        gallery(["tiny-seg-qat"], tmp_path / "x", results, None, shifts=("drak",), **options)
    run_plan(
        make_plan(
            Request(suites=("toy",), methods=("ptq",), bits=("3",), seeds=(0,), results=tmp_path, spaces=())
        )
    )
    with pytest.raises(UsageError, match="expected cells of a segmentation suite"):
        gallery(["tiny-ptq"], tmp_path / "x", tmp_path, None, shifts=(), **options)
    assert not (tmp_path / "x").exists()
