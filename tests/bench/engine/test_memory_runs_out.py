"""Memory that runs out at any allocation of a run costs time, or a cell: never the run or other numbers."""

import importlib
import random
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flatqat import registry
from flatqat.bench.cell.determinism import listening
from flatqat.bench.engine.together import Together
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.console.progress import PlainProgress
from flatqat.spec import Record
from tests.helpers.plugins import registered
from tests.helpers.running import run_plan
from tests.helpers.scarce_memory import Scarce
from tests.helpers.slow import slow

engine = importlib.import_module("flatqat.bench.engine.run")
pieces = importlib.import_module("flatqat.bench.engine.pieces")
STAGES = ("train", "measure", "evaluate")
QUICK = {"pretrain_steps": "3", "steps": "2", "flatness_images": "16", "flatness_draws": "2"}
DIGITS = 1e-5  # float32, and sums over fewer images at a time in another order


def run(folder: Path, said: list[str] | None = None, **changes) -> list[Record]:
    """Run a small matrix in this process."""
    fields = {"suites": ("toy",), "methods": ("fp", "qat"), "bits": ("3",), "seeds": (0,), "jobs": 1}
    settings = {"settings": {"recipe": QUICK}, "spaces": ("quantized",)}
    request = Request(results=folder, **{**fields, **settings, **changes})
    return run_plan(make_plan(request), None if said is None else PlainProgress(said.append))


def numbers(record: Record) -> dict:
    """All scores, and flatness."""
    scores = {f"{s} {m}": v.value for s, metrics in record.scores.items() for m, v in metrics.items()}
    flat = record.flatness.quantized
    return scores | {"loss": flat.loss, "lambda_max": flat.lambda_max.value, "sam": flat.sharpness_sam.value}


def nearly(cell: dict, digits: float = DIGITS):
    return pytest.approx(cell, rel=digits, abs=digits)


def counting(work, scarce: Scarce, allocations: list[int]):
    """The same work, which notes the numbers of its allocations."""

    def counted(*args):
        start = scarce.counted
        done = work(*args)
        allocations.extend(range(start + 1, scarce.counted + 1))
        return done

    return counted


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict[str, dict], dict[str, list[int]]]:
    """The numbers of each cell, and which allocations belong to which stage."""
    run(tmp_path_factory.mktemp("first"))  # allocations that only the first run of a process has
    allocations: dict[str, list[int]] = {stage: [] for stage in STAGES}
    scarce = Scarce()
    with pytest.MonkeyPatch.context() as patch:
        for stage in STAGES:
            patch.setattr(pieces, stage, counting(getattr(pieces, stage), scarce, allocations[stage]))
        with scarce:
            records = run(tmp_path_factory.mktemp("undisturbed"))
    return {record.cell.id: numbers(record) for record in records}, allocations


def check_point(at: int, folder: Path, expected: dict[str, dict], *, digits: float) -> None:
    """Memory runs out once: all is tried again, and every cell is done with its own numbers."""
    said: list[str] = []
    with Scarce(at=at):
        records = run(folder, said)
    assert {(r.status, r.reason, r.flatness.reasons) for r in records} == {("done", "", "")}, at
    assert not [line for line in said if "Traceback" in line]
    assert {r.cell.id: numbers(r) for r in records} == {
        cell_id: nearly(cell, digits) for cell_id, cell in expected.items()
    }


@pytest.mark.parametrize("stage", ["measure", "evaluate", *slow("train")])
def test_memory_that_runs_out_once_costs_no_cell(tmp_path, undisturbed, stage):
    """Training and scoring repeat to the bit; flatness goes over half as many images at a time."""
    expected, allocations = undisturbed
    at = random.Random(0).choice(allocations[stage])
    check_point(at, tmp_path, expected, digits=DIGITS if stage == "measure" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_so_it_is_at_many_points(tmp_path, undisturbed, stage):
    expected, allocations = undisturbed
    for at in random.Random(1).sample(allocations[stage], 16):
        check_point(at, tmp_path / str(at), expected, digits=DIGITS if stage == "measure" else 0)


@pytest.mark.slow
def test_a_command_whose_memory_runs_out_anywhere_ends_with_a_table(tmp_path, flatqat, undisturbed):
    """At points from the first check to the last record; each cell has its own numbers in the end."""
    run_, operations = engine.run, undisturbed[1]
    ends = max(map(max, operations.values())) + 200  # of records, too
    points = random.Random(2).sample(range(1, ends), 30)
    options = [f"--set=recipe.{name}={value}" for name, value in QUICK.items()]
    for at in points:
        scarce, folder = Scarce(at=at), tmp_path / str(at)

        def scarcely(*args, scarce=scarce):
            with scarce:
                return run_(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "run", scarcely)
            command = ("--suite", "toy", "--method", "fp,qat", "--bits", "3", "--seeds", "1", "--jobs", "1")
            done = flatqat("bench", "run", *command, *options, "--results", folder, "--device", "cpu")
        assert done.code == 0, (at, done.err)
        assert "Traceback" not in done.err
        records = {r.cell.id: numbers(r) for r in Store(folder).records()}
        assert records == {cell_id: nearly(cell) for cell_id, cell in undisturbed[0].items()}, at
        assert scarce.counted > at or "out of memory" not in done.err


def of_images(result: torch.Tensor) -> bool:
    """Whether a result has the first layer's channels for a batch of images."""
    return result.shape[1:] == (16, 8, 8)


class ScarceInEach(Scarce):
    """Memory runs out once in each training, some way into it."""

    def watch(self, train):
        def watched(*args):
            self.at = self.counted + 100
            return train(*args)

        return watched


def test_training_that_begins_again_gives_the_same_weights(tmp_path, monkeypatch):
    methods = ("sam", "swad")
    calm, said = tmp_path / "calm", []
    run(calm, methods=methods, spaces=())
    with ScarceInEach() as scarce:
        monkeypatch.setattr(pieces, "train", scarce.watch(pieces.train))
        records = run(tmp_path / "scarce", said, methods=methods, spaces=())
    assert sum(line.startswith("out of memory; trying again: train ") for line in said) >= len(methods), (
        "in each"
    )
    assert {r.status for r in records} == {"done"}
    stored = sorted((calm / "weights").glob("*.safetensors"))
    assert len(stored) > len(methods)
    for path in stored:
        one, other = load_file(path), load_file(tmp_path / "scarce" / "weights" / path.name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one), path.name


def test_training_that_lacks_memory_again_names_the_setting(tmp_path, monkeypatch):
    """The batch stays as it is: another one would be another recipe."""
    tried = []

    def fail(self, x, y):
        tried.append(len(x))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nof 8")

    monkeypatch.setattr(registry.load(registry.METHODS, "anchor"), "gradient", fail)
    records = {r.cell.method: r for r in run(tmp_path, methods=("anchor", "qat"), spaces=())}
    assert tried == [32, 32]
    assert records["qat"].status == "done"
    assert records["anchor"].status == "failed"
    assert records["anchor"].reason == (
        "out of memory: CUDA out of memory. Tried to allocate 2 GiB; "
        "try a smaller batch, as by --set recipe.batch_size=16 (now 32), another recipe"
    )


def test_a_model_that_lacks_memory_on_its_own_is_scored_in_smaller_batches(
    tmp_path, undisturbed, monkeypatch
):
    """Room for a batch of training, 32, but not for the 96 images of a set."""
    said: list[str] = []
    begin, begun = Together._begin, []

    def counted(self, shift, *args):
        begun.append(shift.name)
        return begin(self, shift, *args)

    monkeypatch.setattr(Together, "_begin", counted)
    with Scarce(lacks=lambda result: of_images(result) and len(result) > 32):
        records = run(tmp_path, said)
    tried = [line for line in said if line.startswith("out of memory; trying again with ")]
    of = "evaluation of tiny on toy"
    assert tried == [f"out of memory; trying again with {n} images at a time: {of}" for n in (48, 24)]
    sets = list(records[0].protocol.shifts)
    assert sorted(begun[-len(sets) :]) == sorted(sets), "the second model reads each set once"
    for record in records:
        assert numbers(record) == nearly(undisturbed[0][record.cell.id])
        assert {log.batch for log in record.protocol.scoring.values()} == {24}
        assert list(record.protocol.scoring) == list(record.protocol.shifts)
        assert Store(tmp_path).record(record.cell) == record


def test_an_adapted_model_is_fitted_once_however_small_its_batches_get(tmp_path, monkeypatch):
    together = importlib.import_module("flatqat.bench.engine.together")
    fitted, fits, scored = together.fitted, [], []

    @contextmanager
    def counted(jobs, *args):
        fits.append(args)
        scored.clear()
        with args[-1](jobs[0]):
            warnings.warn("a_fit does not have a deterministic implementation", stacklevel=1)
        with fitted(jobs, *args):
            scored.append(True)
            yield

    monkeypatch.setattr(together, "fitted", counted)
    monkeypatch.setattr(together, "listening", lambda device: listening(torch.device("cuda")))
    asked = {"methods": ("fp",), "spaces": (), "adapt": "bn"}
    (calm,) = run(tmp_path / "calm", **asked)
    usual = len(fits)
    fits.clear()
    scored.clear()
    with Scarce(lacks=lambda result: bool(scored) and of_images(result) and len(result) > 32):
        (record,) = run(tmp_path / "scarce", **asked)
    assert record.protocol.scoring["id"].batch == 24
    assert record.protocol.scoring["id"].not_repeatable == ("a_fit",)
    assert len(fits) == usual
    for shift, scores in calm.scores.items():
        assert record.scores[shift]["nll"].value == pytest.approx(scores["nll"].value, rel=DIGITS)


def test_models_that_cannot_even_be_loaded_are_tried_twice_on_their_own(tmp_path, monkeypatch):
    together, loads = importlib.import_module("flatqat.bench.engine.together"), []

    def fail(cell, *args, **options):
        loads.append(cell.method)
        raise torch.OutOfMemoryError("CUDA out of memory") if len(loads) < 20 else ValueError("endless")

    monkeypatch.setattr(together, "restore", fail)
    records = run(tmp_path, spaces=())
    assert sorted(loads) == ["fp"] * 3 + ["qat"] * 3
    assert all(record.status == "failed" and "out of memory" in record.reason for record in records)


def test_a_fit_that_lacks_memory_is_tried_again_once(tmp_path, monkeypatch):
    together, fits = importlib.import_module("flatqat.bench.engine.together"), []

    def fail(jobs, models, data, reader, guarded):
        fits.append(len(data))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(together, "fitted", fail)
    (record,) = run(tmp_path, methods=("fp",), spaces=(), adapt="bn")
    assert (record.status, len(fits)) == ("failed", 2)
    assert "out of memory" in record.reason


def test_flatness_goes_over_fewer_images_at_a_time(tmp_path, undisturbed):
    said: list[str] = []
    with Scarce(lacks=lambda result: of_images(result) and 10 < len(result) <= 16):
        records = run(tmp_path, said)
    tried = (
        "out of memory; trying again with 8 images at a time: flatness of tiny on toy in the space quantized"
    )
    assert said.count(tried) == 1, "the size is kept for the second cell"
    for record in records:
        assert (record.flatness.quantized.chunk, record.flatness.quantized.images) == (8, 16)
        assert numbers(record) == nearly(undisturbed[0][record.cell.id])


def test_records_of_undisturbed_runs_say_nothing_of_sizes(tmp_path):
    (record,) = run(tmp_path, methods=("fp",))
    plain = record.to_dict()
    assert "scoring" not in plain["protocol"]
    assert "chunk" not in plain["flatness"]["quantized"]


def test_images_that_lack_memory_beside_several_models_are_read_for_fewer(tmp_path, undisturbed):
    suite, read = registry.load(registry.SUITES, "toy"), []

    def crowded(images, ids):
        if torch.is_inference_mode_enabled():
            read.append(len(ids))
            if len(read) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return images

    (first, *others) = suite.shifts
    late = (replace(each, build=lambda root, s=each: s.build(root).map(crowded)) for each in others)
    with registered(registry.SUITES, "toy", replace(suite, shifts=(first, *late))):
        records = run(tmp_path)
    assert set(read) == {96}, "with batches of the same size"
    assert {r.cell.id: numbers(r) for r in records} == undisturbed[0]
    assert not any(record.protocol.scoring for record in records)


def test_a_set_that_lacks_memory_when_it_is_made_is_made_again(tmp_path, undisturbed):
    suite, made = registry.load(registry.SUITES, "toy"), []

    def build(root):
        if torch.is_inference_mode_enabled():
            made.append(root)
            if len(made) <= 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return suite.shifts[-1].build(root)

    shifts = (*suite.shifts[:-1], replace(suite.shifts[-1], build=build))
    with registered(registry.SUITES, "toy", replace(suite, shifts=shifts)):
        records = run(tmp_path)
    assert len(made) == 4, "beside the other, twice for the first on its own, and for the second"
    assert {r.cell.id: numbers(r) for r in records} == undisturbed[0]
