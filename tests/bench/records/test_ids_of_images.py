"""Where each seed draws its own images, the ids say which ones two seeds share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatqat.bench.records.compact import compact
from flatqat.bench.records.paired import Runs, components_of, differences, outcomes_of
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.metrics import parts
from flatqat.metrics.components import Components
from flatqat.metrics.parts import Part, apart
from flatqat.spec import Cell, Record, ShiftInfo
from tests.helpers import street_records
from tests.helpers.records import margins_of, protocol, scores_of, train_log

FP = Cell(suite="f@art", suite_version=1, model="m", method="fp", quant="fp", recipe="b", seed=0)
QAT = replace(FP, method="qat", quant="4")
IMAGES, KEPT, SEEDS = 200, 160, (0, 1, 2, 3)
SHIFTS = {
    "id": ShiftInfo(family="id", severity=None, image_set="id", in_mean=True),
    "art": ShiftInfo(family="target", severity=None, image_set="target", in_mean=True),
    "oracle": ShiftInfo(family="oracle", severity=None, image_set="target", in_mean=False),
}


def drawn(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(IMAGES)[:KEPT].astype(np.uint8)


def put(store: Store, cell: Cell, *, ids: bool = True, first: int = 0) -> np.ndarray:
    """A record whose images are right by what is hard about them, for the method and for all seeds."""
    ease = np.random.default_rng([*cell.method.encode()]).normal(size=IMAGES)
    noise = np.random.default_rng([cell.seed, *cell.method.encode()]).normal(size=KEPT)
    right = dict.fromkeys(SHIFTS, ease[drawn(cell.seed)] + 0.3 * noise > -1)
    how = protocol(SHIFTS, suite="p", data=f"d{cell.seed}", split=f"-s{cell.seed}", targets=("art",))
    record = Record(cell=cell, status="done", scores=scores_of(right), protocol=how, train=train_log(5))
    known = {f"{shift}:ids": first + drawn(cell.seed).astype(np.uint16) for shift in SHIFTS} if ids else {}
    store.write_record(record, margins_of(right) | known)
    return right["art"]


def runs(store: Store, cell: Cell) -> Runs:
    return Runs.of([r for r in store.records() if r.cell.method == cell.method], store)


def part(right: Sequence[dict[int, np.ndarray]], weight: float = 1.0) -> Part:
    """What contributions of methods by seed add, from the images as they were drawn."""
    tables = np.stack([np.stack([100.0 * weight * of_seed for of_seed in of.values()]) for of in right])
    return parts.drawn([tables], [[drawn(seed) for seed in right[0]]])


def test_seeds_meet_at_the_images_that_they_share(tmp_path: Path) -> None:
    store, of = Store(tmp_path), {}
    for cell in (FP, QAT):
        of[cell] = {seed: put(store, replace(cell, seed=seed)) for seed in SEEDS}
    sides = [runs(store, cell).shares({"art": 1.0}) for cell in (FP, QAT)]
    expected = Components.of([part([of[cell] for cell in (FP, QAT)])])
    found = components_of([dict(zip((FP, QAT), sides, strict=True))])
    assert found is not None
    assert found.means == pytest.approx(expected.means)
    assert found.image == pytest.approx(expected.image)
    assert found.mean(0).stderr > 1.3 * Components.of([apart(found_alone(of[FP]))]).mean(0).stderr
    between = differences([dict(zip((FP, QAT), sides, strict=True))], FP)[QAT]
    assert between.stderr == pytest.approx(expected.difference(1, 0).stderr)
    assert runs(store, QAT).components({"art": 1.0}).mean(0).stderr == pytest.approx(expected.mean(1).stderr)


@pytest.mark.parametrize("shared", [False, True])
def test_a_mean_over_domains_meets_images_that_they_share(tmp_path: Path, shared: bool) -> None:
    rights, suites = [], []
    for number, (name, cell) in enumerate((("a", FP), ("b", QAT))):
        store, first = Store(tmp_path / name), 0 if shared else IMAGES * number
        right = {seed: put(store, replace(cell, seed=seed), first=first) for seed in SEEDS}
        rights.append(right)
        suites.append({"": runs(store, cell).shares({"art": 1.0})})
    total = {seed: (rights[0][seed] * 1.0 + rights[1][seed]) / 2 for seed in SEEDS}
    expected = Components.of([part([total])] if shared else [part([right], 0.5) for right in rights])
    found = components_of(suites)
    assert found is not None
    assert found.mean(0).value == pytest.approx(expected.mean(0).value)
    assert found.mean(0).stderr == pytest.approx(expected.mean(0).stderr)
    assert found.images == (KEPT if shared else 2 * KEPT)


def found_alone(right: dict[int, np.ndarray]) -> np.ndarray:
    return 100.0 * np.stack([*right.values()])[None]


def test_one_method_with_ids_tells_them_of_all(tmp_path: Path) -> None:
    some, every = Store(tmp_path / "some"), Store(tmp_path / "every")
    for cell in (FP, QAT):
        for seed in SEEDS:
            put(some, replace(cell, seed=seed), ids=(cell == FP) == (seed < 2))
            put(every, replace(cell, seed=seed))
    found = [
        differences([{cell: runs(store, cell).shares({"art": 1.0}) for cell in (FP, QAT)}], FP)[QAT]
        for store in (some, every)
    ]
    assert found[0] == found[1]
    assert found[0].image_variance > 0


def test_where_the_ids_of_a_seed_are_not_known_every_seed_has_images_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    of = {
        cell: {seed: put(store, replace(cell, seed=seed), ids=seed != 1) for seed in SEEDS}
        for cell in (FP, QAT)
    }
    sides = {cell: runs(store, cell).shares({"art": 1.0}) for cell in (FP, QAT)}
    own = np.concatenate([found_alone(of[cell]) for cell in (FP, QAT)])
    expected = Components.of([apart(own)]).difference(1, 0)
    found = differences([sides], FP)[QAT]
    assert (found.value, found.stderr) == pytest.approx((expected.value, expected.stderr))
    assert found.image_variance == pytest.approx(0, abs=1e-12)
    alone, of_qat = runs(store, QAT).components({"art": 1.0}), Components.of([apart(own[1:])])
    assert alone is not None
    assert alone.mean(0).stderr == pytest.approx(of_qat.mean(0).stderr)


def test_confusions_of_pixels_have_ids_beside_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in SEEDS:
        street_records.put(store, replace(street_records.FP, seed=seed), street_records.matrices(seed))
    plain = {r.cell.seed: outcomes_of(r, store) for r in store.records()}
    for record in store.records():
        ids = {f"{shift}:ids": np.arange(n, dtype=np.uint8) for shift, n in plain[0].sizes.items()}
        how = replace(record.protocol, split=f"-s{record.cell.seed}")
        store.write_record(replace(record, protocol=how), store.outcomes(record.cell) | ids)
    for record in store.records():
        again = outcomes_of(record, store)
        assert all((again[shift] == of).all() for shift, of in plain[record.cell.seed].items())
        assert again.ids.keys() == again.keys()


def test_a_compact_copy_keeps_them(tmp_path: Path) -> None:
    source, target = Store(tmp_path / "a"), Store(tmp_path / "b")
    for seed in SEEDS:
        put(source, replace(FP, seed=seed))
    compact(source, target)
    known, kept = (runs(store, FP).components({"art": 1.0}).mean(0) for store in (source, target))
    assert known == kept
    assert known.image_variance > 0
    (record,) = [r for r in target.records() if r.cell.seed == 2]
    assert (outcomes_of(record, target).ids["art"] == drawn(2)).all()


@pytest.mark.parametrize("ids", [np.zeros(KEPT, np.uint8), np.arange(KEPT), np.zeros((KEPT, 2), np.uint8)])
def test_ids_that_do_not_fit_are_refused(tmp_path: Path, ids: np.ndarray) -> None:
    store = Store(tmp_path)
    put(store, FP)
    (record,) = store.records()
    arrays = store.outcomes(record.cell)
    store.write_record(record, arrays | {f"{shift}:ids": ids for shift in SHIFTS})
    (record,) = store.records()
    with pytest.raises(StoreError, match="expected an id for each image of id, each another one"):
        outcomes_of(record, store)
