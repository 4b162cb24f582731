"""Processes that train together: what they are told, and how they end."""

from weakref import ref

import pytest
import torch
from torch import nn
from torch.distributed import HashStore

from flatqat.bench.ranks import ranks as module
from flatqat.bench.ranks.check import check_same, check_same_draws
from flatqat.bench.ranks.place import Place
from flatqat.bench.ranks.ranks import Dismissed, Ranks
from flatqat.bench.ranks.whole_batch import rows_of
from flatqat.errors import RankLost, TrainingFailed, UsageError
from tests.helpers.ranks_runs import forked

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def test_a_place_is_what_torchrun_has_set():
    place = Place.of({**TORCHRUN, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"})
    assert place == Place(rank=3, size=8, local_rank=1, local_size=2)
    assert not place.leads
    assert place.device("cuda") == "cuda:1"
    assert place.device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"RANK": ""}, "expected the variables that torchrun sets, got no RANK"),
        ({"MASTER_PORT": ""}, "got no MASTER_PORT; start it with torchrun"),
        ({"WORLD_SIZE": "x"}, "expected a number in WORLD_SIZE, got 'x'"),
        ({"RANK": "8"}, "expected a RANK below WORLD_SIZE, got 8 of 8"),
    ],
)
def test_a_place_that_torchrun_has_not_set(changes, problem):
    with pytest.raises(UsageError, match=problem):
        Place.of({**TORCHRUN, **changes})


@pytest.mark.parametrize(("size", "whole"), [(1, 5), (2, 7), (3, 7), (4, 4)])
def test_every_row_belongs_to_one_process(size, whole):
    parts = [range(whole)[rows_of(rank, size, whole)] for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(whole))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_leading_process_tells_the_others_and_dismisses_them(tmp_path):
    def work(ranks):
        if ranks.leads:
            ranks.tell("first")
            ranks.tell(None)
            ranks.close()
            return ranks.reports()
        heard = [ranks.told(), ranks.told()]
        with pytest.raises(Dismissed):
            ranks.told()
        ranks.report([f"line of {ranks.place.rank}"])
        return heard

    assert forked(3, tmp_path, work) == [["line of 1", "line of 2"], ["first", None], ["first", None]]


def ends(ranks, what):
    """How a block ends, as text."""
    try:
        with ranks.alike():
            what()
    except (RankLost, TrainingFailed, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "well"


def fail():
    raise ValueError("broken")


def test_processes_end_alike(tmp_path):
    def work(ranks):
        well = ends(ranks, lambda: None)
        all_fail = ends(ranks, fail)
        one_fails = ends(ranks, fail if ranks.leads else lambda: None)
        return well, all_fail, one_fails

    first, second = forked(2, tmp_path, work)
    assert first == ("well", "ValueError: broken", "ValueError: broken")
    assert second == ("well", "ValueError: broken", "TrainingFailed: broken")


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("failing", [0, 1])
def test_a_process_that_fails_while_others_wait_lets_them_out_and_all_go_on(tmp_path, size, failing):
    def work(ranks):
        def add_up():
            for _ in range(3):
                ranks.sum_(torch.ones(1000))

        ended = ends(ranks, fail if ranks.place.rank == failing else add_up)
        total = ranks.sum_(torch.ones(1)).item()
        return ended, total, ends(ranks, add_up)

    found = forked(size, tmp_path, work)
    for rank, (ended, total, after) in enumerate(found):
        assert ended == ("ValueError: broken" if rank == failing else "TrainingFailed: broken")
        assert (total, after) == (size, "well")


def test_connections_end_where_a_sum_has_failed(tmp_path):
    """With three processes one would else wait at them, now and then: nothing may hold the group."""

    def work(ranks):
        group, left = ref(torch.distributed.group.WORLD), []
        let_go = ranks._let_go
        ranks._let_go = lambda: [let_go(), left.append(group() is not None)]
        ended = ends(ranks, fail if ranks.leads else lambda: ranks.sum_(torch.ones(1000)))
        return ended, left[0]

    fails, waits = forked(2, tmp_path, work)
    assert fails == ("ValueError: broken", False)
    assert waits == ("TrainingFailed: broken", False)


def test_a_process_that_fails_on_a_gpu_while_others_wait_ends(tmp_path, monkeypatch):
    """NCCL lets nobody out of a sum; here the wait ends with the process, as torchrun would end it."""
    monkeypatch.setattr(module, "GRACE", 0.5)

    def work(ranks):
        ranks._device = torch.device("cuda")
        return ends(ranks, (lambda: ranks.sum_(torch.ones(3))) if ranks.leads else fail)

    _, fails = forked(2, tmp_path, work)
    again = "run the same command again"
    assert fails == f"RankLost: failed where others did not: ValueError: broken; {again}"


def test_a_process_that_ends_without_a_word_ends_the_others(tmp_path):
    def work(ranks):
        return ends(ranks, lambda: ranks.sum_(torch.ones(3))) if ranks.leads else "gone"

    waits, _ = forked(2, tmp_path, work)
    assert waits.startswith("RankLost: expected 2 processes to train together, but one has ended (")
    assert waits.endswith("; run the same command again")


def test_other_weights_are_found(tmp_path):
    def work(ranks):
        model = nn.Linear(3, 2)
        nn.init.ones_(model.weight)
        nn.init.ones_(model.bias)
        check_same(model, ranks)
        with torch.no_grad():
            model.bias[1] += 0.01 * ranks.place.rank
        with pytest.raises(TrainingFailed, match="expected the same weights in all processes, got others"):
            check_same(model, ranks)
        return True

    assert forked(2, tmp_path, work) == [True, True]


@pytest.mark.parametrize(("value", "found"), [(float("nan"), True), (float("inf"), True), (1 + 1e-6, False)])
def test_one_value_in_one_process(value, found, tmp_path):
    def work(ranks):
        model = nn.Linear(3, 2)
        nn.init.ones_(model.weight)
        nn.init.ones_(model.bias)
        with torch.no_grad():
            model.bias[1] = value if ranks.leads else 1
        try:
            check_same(model, ranks)
        except TrainingFailed:
            return True
        return False

    assert forked(2, tmp_path, work) == [found, found]


def test_a_value_that_is_not_finite_in_all_processes_is_the_same(tmp_path):
    def work(ranks):
        model = nn.Linear(3, 1)
        with torch.no_grad():
            model.weight[0] = torch.tensor([float("nan"), float("inf"), 1.0])
            model.bias.fill_(float("-inf"))
        check_same(model, ranks)
        return True

    assert forked(2, tmp_path, work) == [True, True]


def test_other_random_numbers_are_found(tmp_path):
    def work(ranks):
        torch.manual_seed(0)
        check_same_draws(torch.device("cpu"), ranks)
        torch.empty(2 + ranks.place.rank).normal_()
        with pytest.raises(TrainingFailed, match="expected the same random numbers in all processes"):
            check_same_draws(torch.device("cpu"), ranks)
        return True

    assert forked(2, tmp_path, work) == [True, True]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("NCCL error: unhandled cuda error\nCuda failure 2 'out of memory'"), RuntimeError),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
        (RuntimeError("Connection closed by peer"), RankLost),
    ],
)
def test_a_sum_that_lacks_memory_is_not_taken_for_the_end_of_another(error, kind, monkeypatch):
    def fails(*_):
        raise error

    monkeypatch.setattr(module.distributed, "all_reduce", fails)
    place = Place(rank=0, size=2, local_rank=0, local_size=2)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        Ranks(place, HashStore()).sum_(torch.ones(1))
    assert type(caught.value) is kind
