"""The engine: pairing, resuming, failing cells, one pass for many models."""

import importlib
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from unittest.mock import ANY

import pytest
import torch
from safetensors.torch import load_file, save

import flatqat
from flatqat import registry
from flatqat.bench.cell.batches import training_batches
from flatqat.bench.cell.restore import restore
from flatqat.bench.cell.same_images import check_image_sets
from flatqat.bench.engine import preflight
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.records.weights import digest_of, metadata_of, training_log
from flatqat.bench.report.by_method import by_method
from flatqat.bench.report.render import render
from flatqat.errors import DataError, PluginError, StoreError, UsageError
from flatqat.methods.base import Method
from flatqat.metrics.task import task_of
from flatqat.spec import EvalTransform, Flatness, SuiteData
from tests.helpers import TOY
from tests.helpers.running import run_plan, session_of
from tests.helpers.slow import slow

CPU = torch.device("cpu")


def request(results: Path, **changes) -> Request:
    return replace(
        Request(
            suites=("toy",), methods=("fp", "ptq", "qat", "anchor"), bits=("3",), seeds=(0,), results=results
        ),
        **changes,
    )


def go(results: Path, **changes):
    return run_plan(make_plan(request(results, **changes)))


def table(results: Path) -> str:
    return "".join(
        render(Store(results), None, form, view) for form, view in (("csv", "method"), ("csv", "shift"))
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One undisturbed run."""
    folder = tmp_path_factory.mktemp("results")
    go(folder)
    return folder


def test_records_hold_everything(results):
    records = {r.cell.method: r for r in Store(results).records()}
    assert set(records) == {"fp", "ptq", "qat", "anchor"}
    for record in records.values():
        assert record.status == "done"
        assert set(record.scores) == {"val", "id", "noise/1", "noise/2"}
        assert {"top1", "nll", "brier", "ece"} == set(record.scores["id"])
        assert record.scores["id"]["top1"].n == 96
        assert record.flatness.quantized.lambda_max.residual < 1e-2
        assert set(record.flatness.quantized.sharpness_avg) == {"0.05", "0.1", "0.2"}
        assert (
            record.env.packages["torch"] == torch.__version__.partition("+")[0]
            or record.env.packages["torch"] == torch.__version__
        )
    assert records["ptq"].train.steps == 0
    audited = {"quantized": 10, "floating": [], "floating_weights": 0, "most_codes": ANY}
    assert records["qat"].train.audit == audited
    assert records["qat"].train.audit["most_codes"]["3"] == 8
    assert len(records["fp"].train.audit["floating"]) == 10
    assert records["ptq"].cell.parent == records["fp"].cell.training_id
    assert records["qat"].cell.parent == records["fp"].cell.parent == records["anchor"].cell.parent


def test_training_learns(results):
    """Four classes: chance is 25%."""
    for record in Store(results).records():
        assert record.scores["id"]["top1"].value > 80, record.cell.label


def test_a_second_run_computes_nothing_and_gives_the_same_bytes(results, monkeypatch):
    before = {p: p.read_bytes() for p in results.rglob("*") if p.is_file()}
    monkeypatch.setattr("flatqat.bench.engine.pieces.train", lambda *args: pytest.fail("trained again"))
    monkeypatch.setattr("flatqat.bench.engine.pieces.measure", lambda *args: pytest.fail("measured again"))
    go(results)
    assert {p: p.read_bytes() for p in results.rglob("*") if p.is_file()} == before


def test_two_undisturbed_runs_agree_to_the_byte(results, tmp_path):
    go(tmp_path)
    assert table(tmp_path) == table(results)


def test_one_pass_for_many_models_equals_separate_runs(results, tmp_path):
    for method in ("fp", "ptq", "qat", "anchor"):
        go(tmp_path, methods=(method,))
    assert table(tmp_path) == table(results)


def test_scores_equal_a_plain_evaluation(results):
    """The stored top-1 and NLL against the model called by hand."""
    store = Store(results)
    suite = registry.load(registry.SUITES, "toy")
    for record in store.records():
        model = restore(record.cell, suite, store)
        for shift in suite.scored:
            data = shift.build(None)
            plain = task_of("classification").meter(4)
            with torch.no_grad():
                x, y = data.batch(torch.arange(len(data)))
                plain.add(model(x), y)
            scores, outcomes = plain.result()
            assert scores["top1"] == record.scores[shift.name]["top1"]
            assert scores["nll"] == record.scores[shift.name]["nll"]
            assert (outcomes.pred == store.outcomes(record.cell)[f"{shift.name}:pred"]).all()


def test_methods_see_the_same_batches(tmp_path, monkeypatch):
    seen: dict[str, list[float]] = {}
    original = Method.gradient

    def spy(self, x, y):
        seen.setdefault(type(self).__name__, []).append(x.sum().item() + 1000 * y.sum().item())
        return original(self, x, y)

    monkeypatch.setattr(Method, "gradient", spy)
    go(tmp_path, methods=("fp", "qat", "anchor"), spaces=())
    assert len(seen.pop("Pretrain")) == 30
    first, second, third = seen.values()
    assert first == second == third
    assert len(set(first)) == len(first) == 12


def test_seeds_give_other_starts_and_batches(tmp_path):
    records = go(tmp_path, methods=("fp",), seeds=(0, 1), spaces=())
    a, b = (record.scores["noise/2"]["nll"].value for record in records)
    assert a != b


def test_another_limit_reuses_the_weights(results, monkeypatch):
    monkeypatch.setattr(
        "flatqat.bench.engine.train.starting_point", lambda *args: pytest.fail("trained again")
    )
    records = go(results, methods=("fp",), limit=10, spaces=())
    assert records[0].scores["noise/1"]["top1"].n == 10
    for record in records:  # other tests share the folder
        Store(results).record_path(record.cell).unlink()
        Store(results).outcomes_path(record.cell).unlink()


def test_flatness_is_added_to_a_record_without_scoring_again(tmp_path, monkeypatch):
    (plain,) = go(tmp_path, methods=("fp",), spaces=())
    assert plain.flatness == Flatness()
    monkeypatch.setattr("flatqat.bench.engine.together.task_of", lambda *args: pytest.fail("scored again"))
    (measured,) = go(tmp_path, methods=("fp",))
    assert measured.flatness.quantized.lambda_max.value > 0
    assert measured.scores == plain.scores


def test_rerun_computes_again_and_keeps_the_numbers(tmp_path):
    (first,) = go(tmp_path, methods=("fp",), spaces=())
    weights = Store(tmp_path).weights_path(first.cell)
    stamp = weights.stat().st_mtime_ns
    (second,) = go(tmp_path, methods=("fp",), spaces=(), rerun=True)
    assert weights.stat().st_mtime_ns > stamp
    assert second.scores == first.scores


def test_a_failing_cell_is_marked_and_the_rest_goes_on(tmp_path):
    """A learning rate that overflows: the cell fails with its reason, what starts from it is skipped."""
    settings = {"recipe": {"lr": "1e30"}}
    records = {r.cell.method: r for r in go(tmp_path, settings=settings, methods=("fp", "ptq", "qat"))}
    assert records["fp"].status == records["qat"].status == "failed"
    assert "the loss is" in records["fp"].reason
    assert records["ptq"].status == "skipped"
    assert "its parent" in records["ptq"].reason
    assert "failed" in render(Store(tmp_path), None, "md", "method")
    healthy = go(tmp_path, methods=("fp",))
    assert healthy[0].status == "done"


def test_what_is_missing_is_told_from_one_look_at_each_record(tmp_path, monkeypatch):
    go(tmp_path, methods=("fp", "qat"))
    plan, read = make_plan(request(tmp_path, methods=("fp", "qat"))), []
    record = Store.record
    monkeypatch.setattr(Store, "record", lambda store, cell: read.append(cell.method) or record(store, cell))
    assert [lack.job for lack in session_of(plan.request).lacking(plan)] == []
    assert sorted(read) == ["fp", "qat"]


def test_failed_cells_are_tried_again(tmp_path):
    settings = {"recipe": {"lr": "1e30"}}
    plan = make_plan(request(tmp_path, settings=settings, methods=("fp",)))
    run_plan(plan)
    assert [lack.job.cell.method for lack in session_of(plan.request).lacking(plan)] == ["fp"]


def test_other_images_than_those_of_the_folder_are_refused(tmp_path, monkeypatch):
    """Whatever cells are asked for: what is stored was made from other data. A finished plan needs none."""
    go(tmp_path, methods=("fp",), spaces=())
    monkeypatch.setattr("flatqat.data.tensors.image_data.ImageData.fingerprint", lambda self: "00000000")
    go(tmp_path, methods=("fp",), spaces=())
    with pytest.raises(DataError, match="got others"):
        go(tmp_path, methods=("qat",), spaces=())


def test_scores_and_flatness_of_two_trainings_never_share_a_record(tmp_path, monkeypatch):
    """A run was cut off while it scored, and its weights came back as another machine trains them."""
    write = Store.write_scores

    def stops(self, cell, shift, *args):
        if shift == "noise/2":
            raise KeyboardInterrupt
        write(self, cell, shift, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_scores", stops)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path, methods=("fp",))
    store, (job,) = Store(tmp_path), make_plan(request(tmp_path, methods=("fp",))).scored()
    assert store.has_scores(job.cell, "id")
    assert store.measured(job.cell).spaces
    path = store.weights_path(job.cell)
    log, weights = training_log(path).to_dict(), load_file(path)
    weights["linear.bias"] += 1e-4
    log["weights"] = digest_of(BytesIO(save(weights))).hex()
    path.write_bytes(save(weights, metadata=metadata_of(path, log)))
    assert not store.measured(job.cell).spaces
    (record,) = go(tmp_path, methods=("fp",))
    assert (record.status, record.train.weights) == ("done", log["weights"])
    again = Store(tmp_path / "again")
    (tmp_path / "again" / "weights").mkdir(parents=True)
    shutil.copy(path, again.weights_path(job.cell))
    (undisturbed,) = go(tmp_path / "again", methods=("fp",))
    assert undisturbed.scores == record.scores
    assert undisturbed.flatness == record.flatness


def test_images_of_a_run_that_came_first_are_those_of_the_folder(tmp_path, monkeypatch):
    """It has tied the folder to its images after this run looked, and before it came to do so itself."""
    plan = make_plan(request(tmp_path, methods=("fp",)))
    (suite,) = {job.suite.key: job.suite for job in plan.scored()}.values()
    first = SuiteData(fingerprint="00000000")
    monkeypatch.setattr(preflight, "check_models", lambda *_: Store(tmp_path).write_data(suite, first))
    with pytest.raises(DataError, match=r"fingerprint 00000000\), got others"):
        run_plan(plan)
    assert Store(tmp_path).data(suite) == first
    assert Store(tmp_path).record_paths() == []


def test_a_finished_record_is_never_rewritten_because_another_cell_needs_its_weights(tmp_path):
    (before,) = go(tmp_path, methods=("fp",))
    path = Store(tmp_path).record_path(before.cell)
    kept = path.read_bytes()
    shutil.rmtree(tmp_path / "weights")
    go(tmp_path, methods=("fp", "ptq"), spaces=())
    assert path.read_bytes() == kept


def test_flatness_that_fails_does_not_destroy_the_scores(tmp_path, monkeypatch):
    (before,) = go(tmp_path, methods=("fp",), spaces=())

    def fail(*args, **kwargs):
        raise FloatingPointError("inf")

    monkeypatch.setattr("flatqat.bench.flatness.measure.flatness_of", fail)
    (after,) = go(tmp_path, methods=("fp",))
    assert after.scores == before.scores
    assert after.flatness == Flatness(failures={"quantized": "inf"})
    assert "fp" in render(Store(tmp_path), None, "md", "method")


def test_an_operation_without_second_derivative_costs_lambda_max_alone(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("derivative for aten::hardsigmoid_backward is not implemented")

    monkeypatch.setattr("flatqat.bench.flatness.estimators.top_eigenvalue", fail)
    (record,) = go(tmp_path, methods=("fp",))
    measured = record.flatness.quantized
    assert measured.lambda_max.value is None
    assert "hardsigmoid" in measured.lambda_max.reason
    assert measured.sharpness_sam.value > 0
    table = render(Store(tmp_path), None, "md", "method")
    assert "sharp" in table
    assert "λmax" not in table


def test_a_bug_in_one_rule_does_not_cost_the_others(tmp_path, monkeypatch):
    def crash(self, x, y):
        raise ZeroDivisionError("of the rule's own")

    monkeypatch.setattr(registry.load(registry.METHODS, "anchor"), "gradient", crash)
    records = {r.cell.method: r for r in go(tmp_path, methods=("anchor", "qat"), spaces=())}
    assert records["anchor"].status == "failed"
    assert "ZeroDivisionError" in records["anchor"].reason
    assert records["qat"].status == "done"


def test_damaged_outcomes_are_computed_again_once_deleted(tmp_path):
    (record,) = go(tmp_path, methods=("fp",), spaces=())
    store = Store(tmp_path)
    kept = store.outcomes(record.cell)
    store.outcomes_path(record.cell).unlink()
    go(tmp_path, methods=("fp",), spaces=())
    assert all((array == kept[name]).all() for name, array in store.outcomes(record.cell).items())


def test_versions_of_a_method_are_not_averaged_as_seeds(tmp_path, monkeypatch):
    go(tmp_path, methods=("qat",), spaces=())
    monkeypatch.setattr("flatqat.methods.qat.QAT.version", 2)
    go(tmp_path, methods=("qat",), spaces=())
    store = Store(tmp_path)
    (section,) = sections(store.records())
    rows = by_method(section, store).to_dict("records")
    assert [(row["method"], row["seeds"]) for row in rows] == [("qat", 1), ("qat v2", 1)]


def test_a_plugin_that_was_edited_is_another_cell(tmp_path):
    file = tmp_path / "edited_rule.py"
    text = "from flatqat.methods.qat import QAT\n\n\nclass Rule(QAT):\n    x = {}\n\n\nMETHOD = Rule\n"
    ids = []
    for version in (1, 2):
        file.write_text(text.format(version))
        registry.import_file.cache_clear()
        registry.add_plugin(file)
        ids.append(make_plan(request(tmp_path, methods=("edited-rule",))).scored()[0].cell.id)
    assert ids[0] != ids[1]


def test_a_request_names_plugin_files_and_an_edited_one_is_read_again(tmp_path, monkeypatch):
    """In one process, as in a notebook; `log` puts what the code is into the record.

    Python would run the bytecode of the first text, which is as long as the second and as old.
    """
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "noted_rule.py"
    text = (
        "from flatqat.methods.qat import QAT\n\n\nclass Rule(QAT):\n    def log(self):\n        return {}\n"
    )
    asked = request(tmp_path / "r", methods=("noted-rule",), plugins=(str(file),), spaces=())
    found = []
    for noted in ({"code": 1}, {"code": 2}):
        file.write_text(f"{text.format(noted)}\n\nMETHOD = Rule\n")
        (record,) = flatqat.run(asked, progress=False)
        assert record.train.method == noted
        found.append(record.cell.id)
    assert found[0] != found[1]
    file.unlink()
    with pytest.raises(PluginError, match="expected a Python file, got none"):
        flatqat.run(asked, progress=False)


@pytest.mark.parametrize(
    "text",
    ["flatness_draws=1", "batch_size=0", "calibration_batches=0", "flatness_images=0", "bn_batches=-1",
     "steps=-1", "lr=nan", "momentum=-1", "momentum=1", "weight_decay=inf"],
)  # fmt: skip
def test_settings_out_of_range_are_refused_before_anything_is_computed(tmp_path, text):
    key, _, value = text.partition("=")
    with pytest.raises(UsageError, match=key):
        go(tmp_path, settings={"recipe": {key: value}})
    assert not list(tmp_path.iterdir())


def test_training_batches_go_through_the_augmentation_of_the_suite(tmp_path):
    (job, *_) = make_plan(request(tmp_path)).jobs
    plain = list(training_batches(job, job.suite.train(None), 3, CPU, eval_transform=EvalTransform()))
    mirrored = replace(job, suite=replace(job.suite, augment=lambda x, generator: x.flip(3)))
    for (x, y), (x2, y2) in zip(
        plain,
        training_batches(mirrored, job.suite.train(None), 3, CPU, eval_transform=EvalTransform()),
        strict=True,
    ):
        assert torch.equal(x2, x.flip(3))
        assert torch.equal(y2, y)


def test_fingerprints_tell_images_and_labels_apart():
    suite = registry.load(registry.SUITES, "toy")
    data = suite.shifts[0].build(None)
    assert data.fingerprint() == suite.shifts[0].build(None).fingerprint()
    assert data.fingerprint() != suite.shifts[1].build(None).fingerprint()
    assert data.fingerprint() != replace(data, labels=data.labels.roll(1)).fingerprint()


@pytest.mark.parametrize(
    ("changed", "got"),
    [
        (lambda data: data.sample(3), "3 images for 96"),
        (lambda data: replace(data, labels=data.labels.roll(1)), "other labels"),
    ],
)
def test_shifts_that_say_to_have_the_same_images_have_them(tmp_path, changed, got):
    """Before anything is trained: differences between such shifts are paired image by image."""
    suite = registry.load(registry.SUITES, "toy")
    *others, last = suite.shifts
    other = replace(last, build=lambda root: changed(last.build(root)))
    plan = make_plan(request(tmp_path))
    changed_suite = replace(suite, shifts=(*others, other))
    plan = replace(plan, jobs=tuple(replace(job, suite=changed_suite) for job in plan.jobs))
    with pytest.raises(DataError, match=f"noise/2: expected the images of id, .* got {got}; complete"):
        run_plan(plan)
    assert not (tmp_path / "weights").exists()
    named = replace(suite, shifts=(*others, replace(other, image_set="another")))
    check_image_sets(named, [shift.build(None) for shift in named.scored])


@pytest.mark.parametrize("ids", [[0, 0, 1], [-1, 0, 1]])
def test_images_that_the_seed_draws_have_an_id_each(ids):
    suite = replace(registry.load(registry.SUITES, "toy"), split="-s0")
    sets = [shift.build(None) for shift in suite.scored]
    check_image_sets(suite, sets)
    sets[0] = replace(sets[0].sample(3), ids=torch.tensor(ids))
    with pytest.raises(DataError, match=r"val: expected ImageData\.ids of 0 or more, another one for each"):
        check_image_sets(suite, sets)


def test_restoring_without_weights_says_what_to_do(tmp_path):
    (record,) = go(tmp_path, methods=("fp",), spaces=())
    store = Store(tmp_path)
    store.weights_path(record.cell).unlink()
    with pytest.raises(StoreError, match="expected its weights"):
        restore(record.cell, registry.load(registry.SUITES, "toy"), store)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"suites": ("tow",)}, "unknown suite 'tow'.*did you mean 'toy'"),
        ({"methods": ("qta",)}, "unknown method 'qta'"),
        ({"models": ("tinny",)}, "unknown model 'tinny'"),
        ({"models": ("cifar:resnet21",)}, "unknown cifar model"),
        ({"bits": ("4@lsqq",)}, "unknown quantizer 'lsqq'"),
        ({"bits": ("44",)}, "2 to 8 bits"),
        ({"recipe": "huge"}, "unknown recipe of toy 'huge'"),
        ({"settings": {"anchor": {"strenght": "1"}}}, "did you mean 'strength'"),
        ({"settings": {"sam": {"rho": "1"}}}, r"--set sam\.rho: .*method that is run.*add sam to --method"),
        ({"settings": {"san": {"rho": "1"}}}, "unknown owner in --set 'san'"),
    ],
    ids=str,
)
def test_the_whole_matrix_is_checked_before_anything_is_computed(tmp_path, changes, problem):
    with pytest.raises(UsageError, match=problem):
        make_plan(request(tmp_path / "results", **changes))
    assert not (tmp_path / "results").exists()


def test_another_run_in_the_folder_may_finish_first(results, tmp_path, monkeypatch):
    """Between the scores of this one and its records; what the other wrote stays."""
    module = importlib.import_module("flatqat.bench.engine.pieces")
    evaluate = module.evaluate
    stamps = {}

    def scored(*args):
        monkeypatch.undo()
        found = evaluate(*args)
        go(tmp_path)
        stamps.update({p: p.stat().st_mtime_ns for p in tmp_path.glob("records/toy/*.json")})
        return found

    monkeypatch.setattr(module, "evaluate", scored)
    records = go(tmp_path)
    assert [record.status for record in records] == ["done"] * len(records)
    assert table(tmp_path) == table(results)
    assert stamps == {p: p.stat().st_mtime_ns for p in tmp_path.glob("records/toy/*.json")} != {}


@pytest.mark.parametrize("delays", [(0.25,), *slow(((0.1, 0.25, 0.45, 0.7),))])
def test_killed_at_any_moment_the_same_command_ends_with_the_same_table(results, tmp_path, delays):
    """SIGKILL, again and again, each time a little later after start-up, in seconds; then let it finish."""
    command = [
        sys.executable,
        "-m",
        "flatqat",
        "bench",
        "run",
        "--plugin",
        TOY,
        "--suite",
        "toy",
        "--seeds",
        "1",
    ]
    command += ["--bits", "3", "--method", "fp,ptq,qat,anchor", "--results", tmp_path]
    killed = 0
    for delay in delays:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        process.stderr.readline()  # the first finished piece of work
        time.sleep(delay)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        process.stderr.close()
        Store(tmp_path).records()  # whatever is there is whole
    assert killed > 0
    done = {p: p.stat().st_mtime_ns for p in tmp_path.glob("records/toy/*.json")}
    weights = {p: p.stat().st_mtime_ns for p in (tmp_path / "weights").glob("*.safetensors")}
    subprocess.run(command, check=True, capture_output=True)
    assert table(tmp_path) == table(results)
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in {**done, **weights}.items()), (
        "a finished cell ran again"
    )
