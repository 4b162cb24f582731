"""Communication of processes that train together: what to do next, sums, and failures.

The first of them leads. Messages go through the store that torchrun keeps, where a process that fails can
leave one while others wait for its part of a sum; tensors go through a process group.
"""

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from time import monotonic, sleep
from traceback import clear_frames
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from flatqat.bench.ranks.place import Place
from flatqat.errors import RankLost, TrainingFailed, first_line
from flatqat.memory import out_of_memory

distributed: Any = torch.distributed  # exports stores without their types
LONG = timedelta(days=24)  # torchrun ends all when one has ended; milliseconds of more exceed 32 bits
GRACE, PAUSE = 20.0, 0.05  # seconds for the others to fail, too, if the same happened to all
AGAIN = "run the same command again"
OVER = "over"


class Dismissed(Exception):
    """Raised in a process that the leading one no longer needs."""


class Ranks:
    """The processes that train together, as one of them sees it."""

    def __init__(self, place: Place, store: Any) -> None:
        self.place, self.size = place, place.size
        self._told = self._blocks = self._groups = 0
        self._device = torch.device("cpu")
        self._store, self._words = store, distributed.PrefixStore("flatqat", store)

    @classmethod
    def meet(cls, place: Place) -> "Ranks":
        """Meet the others at the address that torchrun has given to all."""
        store, _, _ = next(iter(distributed.rendezvous("env://", timeout=LONG)))
        return cls(place, store)

    @property
    def leads(self) -> bool:
        """Whether this process decides, prints and writes."""
        return self.place.leads

    def open(self, device: torch.device) -> None:
        """Connect for sums on a device; returns once all processes have."""
        self._device = device
        if device.type == "cuda":
            torch.cuda.set_device(device)
        self._groups += 1
        backend = "nccl" if device.type == "cuda" else "gloo"
        store = distributed.PrefixStore(f"group/{self._groups}", self._store)
        distributed.init_process_group(
            backend, store=store, rank=self.place.rank, world_size=self.size, timeout=LONG
        )
        self._words.set(self._opened(self.place.rank), "")
        for rank in self._others():  # none may fail, closing connections, while another still makes them
            self._awaited(self._opened(rank))

    def close(self) -> None:
        """End the connections to the others; the leading process dismisses them first."""
        if self.leads:
            with suppress(RuntimeError):  # the store is gone, and so are all others
                self.tell(OVER)
        self._let_go()

    def tell(self, what: object) -> None:
        """Send a message to all others."""
        self._told += 1
        self._words.set(f"told/{self._told}", pickle.dumps(what))

    def told(self) -> Any:
        """Return the next message of the leading process. Raises Dismissed if it was the last."""
        self._told += 1
        what = pickle.loads(self._awaited(f"told/{self._told}"))
        if what == OVER:
            raise Dismissed
        return what

    def report(self, lines: Sequence[str]) -> None:
        """Leave the closing report of this process, some lines, for `reports`."""
        self._words.set(f"report/{self.place.rank}", pickle.dumps(list(lines)))

    def reports(self) -> list[str]:
        """Return the closing reports of all others, once all have left one."""
        return [line for rank in self._others() for line in pickle.loads(self._awaited(f"report/{rank}"))]

    @contextmanager
    def alike(self) -> Iterator[None]:
        """End a block in the same way in all processes: if one fails, all do.

        On CPUs a process that fails closes its connections, which releases others that wait for its part of a
        sum; then all reconnect. NCCL cannot release a process from a sum, so on GPUs the others wait on.

        Raises TrainingFailed if another process failed, and RankLost if this one failed on a GPU and others
        do not reach the end of the block, since they wait for this one inside it.
        """
        self._blocks += 1
        try:
            yield
        except RankLost:
            raise
        except (Exception, SystemExit) as error:  # code of plugins may raise whatever it likes
            reason = first_line(error)
            self._end_block(reason)
            if self._device.type == "cpu":
                self._let_go()
            elif not self._come_to_the_end():
                kind = type(error).__name__
                raise RankLost(f"failed where others did not: {kind}: {reason}; {AGAIN}") from error
            self._open_anew()
            raise
        self._end_block("")
        for rank in self._others():
            if reason := self._awaited(self._end_of_block(rank)).decode():
                self._open_anew()
                raise TrainingFailed(reason)

    def sum_(self, total: Tensor) -> Tensor:
        """Add up a contiguous tensor over all processes, in place. Raises RankLost where one has ended."""
        return self._together(distributed.all_reduce, total)

    def of_leader_(self, tensor: Tensor) -> Tensor:
        """Replace a contiguous tensor by that of the leading process, in place."""
        return self._together(distributed.broadcast, tensor, 0)

    def _together(self, operation: Any, tensor: Tensor, *arguments: object) -> Tensor:
        try:
            operation(tensor, *arguments)
        except RuntimeError as error:
            clear_frames(error.__traceback__)  # they hold the group, at whose connections others wait
            if out_of_memory(error):
                raise
            if reason := self._failed_elsewhere():
                raise TrainingFailed(reason) from error
            ended = f"but one has ended ({first_line(error)})"
            raise RankLost(f"expected {self.size} processes to train together, {ended}; {AGAIN}") from error
        return tensor

    def _others(self) -> list[int]:
        return [rank for rank in range(self.size) if rank != self.place.rank]

    def _let_go(self) -> None:
        """Close the connections for sums, which releases processes that wait in one."""
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def _open_anew(self) -> None:
        """Reconnect after a failed block, once all processes have reached its end."""
        for rank in self._others():
            self._awaited(self._end_of_block(rank))
        if self._device.type == "cpu":
            self._let_go()
            self.open(self._device)

    def _failed_elsewhere(self) -> str:
        """Return why another process has failed in this block, or nothing."""
        keys = [self._end_of_block(rank) for rank in self._others()]
        words = (self._words.get(key).decode() for key in keys if self._words.check([key]))
        return next(filter(None, words), "")

    def _opened(self, rank: int) -> str:
        return f"open/{self._groups}/{rank}"

    def _end_of_block(self, rank: int) -> str:
        return f"block/{self._blocks}/{rank}"

    def _end_block(self, reason: str) -> None:
        self._words.set(self._end_of_block(self.place.rank), reason)

    def _come_to_the_end(self) -> bool:
        """Whether all others reach the end of the block, too, within GRACE seconds."""
        keys, latest = [self._end_of_block(rank) for rank in self._others()], monotonic() + GRACE
        while not (come := bool(self._words.check(keys))) and monotonic() < latest:
            sleep(PAUSE)
        return come

    def _awaited(self, key: str) -> bytes:
        try:
            self._words.wait([key], LONG)
            return bytes(self._words.get(key))
        except RuntimeError as error:
            raise RankLost(f"expected word from another process, but torchrun has ended; {AGAIN}") from error
