"""Which cells of the results are which of the baseline, and what is said to differ."""

import json
import os
from dataclasses import replace
from itertools import count

import pytest

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.gate.check import check
from flatqat.bench.records.store import Store
from flatqat.exit_codes import INCOMPLETE, OK, REGRESSED
from flatqat.spec import Cuda, Environment, Record, ScoringLog
from tests.helpers.gate_records import CELL, SHIFTS, flipped, outcomes, store_with
from tests.helpers.records import environment

ANCHOR = replace(CELL, method="anchor", method_args=(("strength", 0.1),))
STRONG = replace(CELL, method="anchor", method_args=(("strength", 1),))
WORSE = {shift: flipped(right, lost=200) for shift, right in outcomes().items()}
EDITED = replace(CELL, plugins="b" * 12)
PLUGIN = replace(CELL, plugins="a" * 12)
_times = count(1_700_000_000)


def put(folder, cell, right=None, **fields):
    """Store a cell, later than all others."""
    store, now = store_with(folder, right or outcomes(), cell, **fields), next(_times)
    os.utime(store.record_path(cell), (now, now))
    return store


def gate(tmp_path, before, now, rules=None, **fields):
    path = tmp_path / "b.json"
    for cell in before:
        put(tmp_path / "old", cell)
    write_baseline(Store(tmp_path / "old"), path)
    for cell, right in now.items():
        put(tmp_path / "new", cell, right, **fields)
    return check(Store(tmp_path / "new"), path, rules)


def compared(done):
    return {v.cell for v in done.verdicts}


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (PLUGIN, EDITED, "code of its plugin files was edited: aaaaaaaaaaaa → bbbbbbbbbbbb"),
        (CELL, replace(CELL, method_version=2), "version of the method 1 → 2"),
        (CELL, replace(CELL, quant_version=2), "version of its quantization 1 → 2"),
        (replace(CELL, weights="a" * 64), replace(CELL, weights="bc"), f"start weights {'a' * 12} → bc"),
        (CELL, replace(CELL, weights="b" * 64), f"start weights none → {'b' * 12}"),
        (
            replace(CELL, weights="a" * 64 + "#model"),
            replace(CELL, weights="a" * 64 + "#ema"),
            f"start weights {'a' * 12}#model → {'a' * 12}#ema",
        ),
        (CELL, replace(CELL, amp=True), "bfloat16 off → on"),
        (CELL, replace(CELL, step_multiplier=2), "multiplier of steps 1 → 2"),
        (ANCHOR, STRONG, "setting anchor.strength 0.1 → 1"),
        (replace(ANCHOR, method_args=()), STRONG, "setting anchor.strength default → 1"),
        (CELL, replace(CELL, recipe_args=(("lr", 0.1),)), "setting recipe.lr default → 0.1"),
        (replace(CELL, parent="a" * 12), replace(CELL, parent="b" * 12), "the training that it starts from"),
        (CELL, replace(CELL, seed=7), "seeds 0 → 7"),
    ],
)  # fmt: skip
def test_cells_of_one_role_are_compared_and_what_differs_is_said(tmp_path, before, now, said):
    done = gate(tmp_path, [before], {now: WORSE})
    assert done.code == REGRESSED
    assert list(done.differences) == [said]
    assert (done.missing, done.extra) == ([], [])
    assert gate(tmp_path / "same", [before], {now: outcomes()}).code == OK


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "t"}, {"model": "n"}, {"method": "ptq"}, {"quant": "3"}, {"recipe": "long"}, {"limit": 100},
        {"window": "8:4"}, {"adapt": "bn"}, {"keep": "none"}, {"layer_bits": "a=8"}, {"suite": "s@t"},
    ],
    ids=str,
)  # fmt: skip
def test_cells_of_another_role_are_not_and_the_closest_is_named(tmp_path, change):
    done = gate(tmp_path, [CELL], {replace(CELL, **change): outcomes()})
    assert done.code == INCOMPLETE
    ((cell, reason),) = done.missing
    (extra,) = done.extra
    assert cell == "qat 4 · s · m · recipe b"
    assert reason == f"not in the results; {extra} differs in {next(iter(change))}"


def test_cells_of_one_run_that_differ_in_a_setting_match_one_to_one(tmp_path):
    done = gate(tmp_path, [ANCHOR, STRONG], {STRONG: WORSE, ANCHOR: outcomes()})
    assert {v.cell for v in done.verdicts if v.verdict == "regressed"} == {"anchor(strength=1) 4"}
    assert done.differences == {}


def test_edited_code_and_two_settings_still_match_by_the_values(tmp_path):
    old = [replace(cell, plugins="a" * 12) for cell in (ANCHOR, STRONG)]
    new = [replace(cell, plugins="b" * 12) for cell in (ANCHOR, STRONG)]
    done = gate(tmp_path, old, {new[0]: outcomes(), new[1]: WORSE})
    assert {v.cell for v in done.verdicts if v.verdict == "regressed"} == {"anchor(strength=1) 4"}
    assert list(done.differences.values()) == [["anchor(strength=0.1) 4", "anchor(strength=1) 4"]]


def test_one_changed_setting_beside_an_unchanged_one_matches_the_rest(tmp_path):
    weak = replace(ANCHOR, method_args=(("strength", 0.2),))
    done = gate(tmp_path, [ANCHOR, STRONG], {weak: outcomes(), STRONG: outcomes()})
    assert done.code == OK
    assert done.differences == {"setting anchor.strength 0.1 → 0.2": ["anchor(strength=0.2) 4"]}


def test_settings_that_may_be_either_are_not_guessed(tmp_path):
    cells = [replace(ANCHOR, method_args=(("strength", x),)) for x in (0.2, 0.3)]
    done = gate(tmp_path, [ANCHOR, STRONG], dict.fromkeys(cells, outcomes()))
    assert done.code == INCOMPLETE
    assert len(done.missing) == len(done.extra) == 2
    assert all("is one of several possible counterparts" in reason for _, reason in done.missing)


def test_the_only_cell_left_of_two_is_not_guessed(tmp_path):
    done = gate(tmp_path, [ANCHOR, STRONG], {replace(ANCHOR, method_args=(("strength", 0.2),)): outcomes()})
    assert (done.code, done.verdicts, len(done.missing), len(done.extra)) == (INCOMPLETE, [], 2, 1)


def test_cells_that_are_only_in_the_results_are_named_and_no_failure(tmp_path):
    done = gate(tmp_path, [CELL], {CELL: outcomes(), ANCHOR: outcomes()})
    assert done.code == OK
    assert done.extra == ["anchor(strength=0.1) 4"]


def test_seeds_are_groups_whatever_their_numbers(tmp_path):
    before = [replace(CELL, seed=s, parent=f"{s:012}") for s in (0, 1, 2)]
    now = {replace(CELL, seed=s, parent=f"{s:012}"): outcomes(s) for s in (5, 6)}
    done = gate(tmp_path, before, now)
    assert done.code == OK
    assert {(v.seeds_before, v.seeds_now) for v in done.verdicts} == {(3, 2)}
    assert done.differences == {"seeds 0,1,2 → 5,6": ["qat 4"]}
    assert len(done.verdicts) == 4


def test_a_seed_that_failed_is_missing_with_its_reason_and_the_others_are_compared(tmp_path):
    before = [replace(CELL, seed=s) for s in (0, 1)]
    Store(tmp_path / "new").write_record(Record(cell=before[1], status="failed", reason="the loss is nan"))
    done = gate(tmp_path, before, {before[0]: outcomes()})
    assert done.code == INCOMPLETE
    assert done.missing == [("qat 4", "seed 1 failed: the loss is nan")]
    assert len(done.verdicts) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PLUGIN, EDITED),
        (CELL, replace(CELL, method_version=2)),
        (CELL, replace(CELL, quant_version=2)),
        (CELL, replace(CELL, plugins="a" * 12)),
    ],
)
def test_of_several_revisions_the_newest_counts_even_if_an_older_one_is_the_baselines(tmp_path, old, new):
    done = gate(tmp_path, [old], {old: outcomes(), new: WORSE})
    assert (done.code, done.older, done.extra) == (REGRESSED, 1, [])
    again = gate(tmp_path / "other", [old], {new: WORSE, old: outcomes()})
    assert (again.code, again.older) == (OK, 1)


def test_seeds_of_an_older_revision_do_not_mix_with_the_newest(tmp_path):
    old = {replace(PLUGIN, seed=s): outcomes(s) for s in (0, 1, 2)}
    done = gate(tmp_path, old, {**old, EDITED: WORSE})
    assert {(v.seeds_before, v.seeds_now) for v in done.verdicts} == {(3, 1)}
    assert done.older == 3


def test_a_baseline_has_the_newest_revision(tmp_path):
    done = gate(tmp_path, [PLUGIN, EDITED], {EDITED: outcomes()})
    assert (done.code, done.missing, done.differences) == (OK, [], {})


ELSEWHERE = Environment(
    device="H100", threads=2, flatqat="1", python="4", packages={"torch": "2.1", "timm": None, "numpy": "1"}
)


def test_another_environment_is_said(tmp_path):
    done = gate(tmp_path, [CELL], {CELL: outcomes()}, env=ELSEWHERE)
    assert list(done.differences) == [
        "another kind of device, whose numbers differ in last digits without any edit",
        "device cpu → H100", "threads 1 → 2", "python 3 → 4", "flatqat 0 → 1", "torch 2.0 → 2.1",
        "numpy none → 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [({}, []), ({"cudnn": "90200", "flags": {"tf32": True}}, ["cuDNN 90100 → 90200", "flag tf32 off → on"])],
)
def test_what_numbers_of_a_gpu_depend_on_is_said(tmp_path, changed, said):
    cuda = Cuda(version="12.4", cudnn="90100", flags={"tf32": False})
    before, now = (replace(ELSEWHERE, cuda=side) for side in (cuda, replace(cuda, **changed)))
    path = tmp_path / "b.json"
    write_baseline(put(tmp_path / "old", CELL, env=before), path)
    assert list(check(put(tmp_path / "new", CELL, env=now), path).differences) == said


def test_where_cells_were_trained_and_sets_were_scored_is_said(tmp_path):
    here, path, stores = environment(), tmp_path / "b.json", []
    newer = replace(here, packages={"torch": "2.1"})
    for name, training, others in (("old", newer, ELSEWHERE), ("new", ELSEWHERE, here)):
        store = put(
            tmp_path / name, CELL, scoring={"fog/1": ScoringLog(env=others), "id": ScoringLog(batch=2)}
        )
        record = store.record(CELL)
        store.write_record(replace(record, train=replace(record.train, env=training)))
        stores.append(store)
    write_baseline(stores[0], path)
    assert list(check(stores[0], path).differences) == []
    assert list(check(stores[1], path).differences) == [
        "another kind of device, whose numbers differ in last digits without any edit",
        "device H100/cpu → cpu", "threads 1/2 → 1", "python 3/4 → 3", "flatqat 0/1 → 0",
        "torch 2.0/2.1 → 2.0", "numpy 1/none → none", "in training: device cpu → H100",
        "in training: threads 1 → 2", "in training: python 3 → 4", "in training: flatqat 0 → 1",
        "in training: numpy none → 1",
    ]  # fmt: skip


def test_other_data_are_said(tmp_path):
    done = gate(tmp_path, [CELL], {CELL: outcomes()}, data="other")
    assert list(done.differences) == ["data d → other"]


@pytest.mark.parametrize(
    ("seeds", "split", "said"),
    [((0, 1), "", True), ((1,), "", True), ((0, 1), "out", True), ((1,), "out", False)],
)
def test_other_data_are_said_where_seeds_differ_unless_each_has_its_own(tmp_path, seeds, split, said):
    now = {replace(CELL, seed=seed): outcomes() for seed in seeds}
    put(tmp_path / "old", CELL, split=split)
    path = tmp_path / "b.json"
    write_baseline(Store(tmp_path / "old"), path)
    for cell, right in now.items():
        put(tmp_path / "new", cell, right, split=split, data="other")
    done = check(Store(tmp_path / "new"), path)
    assert ("data d → other" in done.differences) is said


def older(path, schema):
    """A baseline rewritten as an older schema has it."""
    data = json.loads(path.read_text())
    for cell_id, cell in data["cells"].items():
        fields = ("shifts", "images", "metric", "correct")
        kept = {name: cell[name] for name in fields if name in cell}
        if schema == 1:
            first = {"image_set": "pool", "in_mean": "headline"}
            kept["shifts"] = {
                s: {first.get(k, k): v for k, v in info.items()} for s, info in kept["shifts"].items()
            }
        data["cells"][cell_id] = {
            **kept,
            "label": f"m-{cell['cell']['method']}-4-s{cell['cell']['seed']}-{cell_id}",
        }
    path.write_text(json.dumps({**data, "schema": schema}))


@pytest.mark.parametrize("schema", [1, 2])
def test_older_baselines_have_labels_and_no_environment(tmp_path, schema):
    path = tmp_path / "b.json"
    for cell in (PLUGIN, ANCHOR, STRONG):
        put(tmp_path / "old", cell)
    write_baseline(Store(tmp_path / "old"), path)
    older(path, schema)
    same = check(Store(tmp_path / "old"), path)
    assert same.code == OK
    assert list(same.differences) == ["the baseline holds no environment"]
    assert len(compared(same)) == 3

    for cell, right in ((EDITED, WORSE), (ANCHOR, outcomes()), (STRONG, outcomes())):
        put(tmp_path / "new", cell, right)
    edited = check(Store(tmp_path / "new"), path)
    assert edited.code == REGRESSED
    (said,) = (text for text, cells in edited.differences.items() if cells == ["qat 4"])
    assert "has other ids" in said

    put(tmp_path / "third", replace(ANCHOR, quant="3"))
    lost = check(Store(tmp_path / "third"), path)
    assert lost.code == INCOMPLETE
    assert [reason for _, reason in lost.missing] == ["not in the results, or with other shifts"] * 3


def test_cells_of_an_older_baseline_are_not_guessed(tmp_path):
    path, label = tmp_path / "b.json", f"m-anchor-4-s0-{ANCHOR.id}"
    write_baseline(put(tmp_path / "old", ANCHOR), path)
    older(path, 2)
    for cell in (ANCHOR, STRONG):
        put(tmp_path / "either", replace(cell, plugins="b" * 12))
    aside = {s: replace(info, in_mean=s == "id") for s, info in SHIFTS.items()}
    put(tmp_path / "aside", replace(ANCHOR, plugins="b" * 12), shifts=aside)
    for folder in ("either", "aside"):
        for only in ([], [label]):
            done = check(Store(tmp_path / folder), path, only=only)
            assert (done.code, done.verdicts) == (INCOMPLETE, [])
            assert done.missing == [(label, "not in the results, or with other shifts")]


def test_the_shifts_of_results_decide_nothing_that_the_baseline_did_not(tmp_path):
    aside = {s: replace(info, in_mean=s == "id") for s, info in SHIFTS.items()}
    done = gate(tmp_path, [CELL], {CELL: outcomes()}, shifts=aside)
    assert (done.code, done.missing) == (INCOMPLETE, [("qat 4", "the shifts differ, such as blur/1")])


@pytest.mark.parametrize("other", [{"keep": "none"}, {"layer_bits": "fc=8"}])
def test_other_layer_bits_are_another_role(tmp_path, other):
    done = gate(tmp_path, [CELL], {replace(CELL, **other): outcomes()})
    assert done.code == INCOMPLETE
    ((_, reason),) = done.missing
    assert reason.endswith(f"differs in {next(iter(other))}")
