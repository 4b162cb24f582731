"""Who is at what in a results folder, so that several runs share its work.

    RESULTS/.work/claims/<piece>.claim   a run is at this piece of work
    RESULTS/.work/claims/<run>.present   a run takes part
    RESULTS/.work/claims/<name>.note     what all that take part should know

A claim is a file that is created exclusively, so that one run gets it, and that its owner touches now and
then. One that was not touched for a minute, or whose process on this machine has ended, is stale: others
break it by renaming it, which one of them does. The first run that comes in removes what killed runs left,
claims and what `clean` finds, and the last one that goes removes all that and the folder. A claim saves time
and no more: what two runs do nevertheless, both do right.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from time import sleep, time
from typing import TypeVar

from flatqat.bench.records.owners import is_left, new_owner
from flatqat.errors import StoreError

T = TypeVar("T")

BEAT = 15.0  # seconds; clocks of machines that share a folder may differ by what is left to LEFT_AFTER
PAUSE = 0.01
ATTEMPTS = 100  # to create a file in a folder that others remove as often


class Claims:
    """The part that one run takes in the work of a results folder, within `with`."""

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time, clean: Callable[[], None] = lambda: None
    ) -> None:
        self._folder, self._clock, self._clean = folder, clock, clean
        self._owner = new_owner()
        self._present = folder / f"{self._owner.rpartition(' ')[2]}.present"
        self._held: set[Path] = set()
        self._over = Event()

    def __enter__(self) -> "Claims":
        """Come in. Raises StoreError if the folder cannot be written."""
        Thread(target=self._beat, daemon=True).start()  # before the door: to clear a large folder takes long
        try:
            with self._door():
                if self._is_alone():  # what is here was left by killed runs
                    self._clear()
                self._create(self._present)
        except BaseException:
            self._over.set()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Give up all claims and go; the last one removes the folder."""
        try:
            for path in tuple(self._held):
                self._give_up(path)
            with self._door():
                if self._is_alone():
                    self._clear()
        finally:
            self._over.set()
        for folder in (self._folder, self._folder.parent):
            with suppress(OSError):  # somebody else is in it
                folder.rmdir()

    def take(self, piece: str) -> bool:
        """Claim a piece of work; returns whether this run has it now."""
        path = self._path(piece, "claim")
        return self._create(path) or (self._is_left(path) and self._take_over(path))

    def release(self, piece: str) -> None:
        """Give up a claim, unless another run has broken it meanwhile."""
        self._give_up(self._path(piece, "claim"))

    @contextmanager
    def hold(self, piece: str) -> Iterator[bool]:
        """Claim a piece within a block; yields whether that was possible."""
        taken = self.take(piece)
        try:
            yield taken
        finally:
            if taken:
                self.release(piece)

    @contextmanager
    def lock(self, piece: str) -> Iterator[None]:
        """Claim a piece within a block, and wait for it before."""
        while not self.take(piece):
            sleep(PAUSE)
        try:
            yield
        finally:
            self.release(piece)

    @contextmanager
    def each(self, pieces: Mapping[str, T], done: Callable[[T], bool]) -> Iterator[Iterator[T]]:
        """Yield the pieces, by their names, that are to do and that nobody is at.

        Each is claimed until it is done, or else until the end of the block: so a caller may be at the next
        one while the last one is being written.
        """
        held: dict[str, T] = {}

        def free() -> Iterator[T]:
            for name, piece in pieces.items():
                for other in [other for other, its in held.items() if done(its)]:
                    self.release(other)
                    del held[other]
                if not done(piece) and self.take(name):
                    held[name] = piece
                    if not done(piece):  # nor was it done between the two looks
                        yield piece

        try:
            yield free()
        finally:
            for name in held:
                self.release(name)

    def note(self, name: str, text: str = "") -> bool:
        """Let all know something; returns whether it is new. It is gone when the last run has gone."""
        return self._create(self._path(name, "note"), text)

    def noted(self, name: str) -> bool:
        """Whether a run that takes part has noted this."""
        return self._path(name, "note").exists()

    def notes(self, prefix: str) -> dict[str, str]:
        """Return the notes whose names begin with a prefix, by the rest of their names."""
        found = {}
        for path in self._folder.glob(f"{prefix}*.note"):
            with suppress(OSError):
                found[path.name[len(prefix) : -len(".note")]] = path.read_text(encoding="utf-8")
        return found

    def withdraw(self, name: str) -> None:
        """Remove a note."""
        self._path(name, "note").unlink(missing_ok=True)

    def _path(self, name: str, kind: str) -> Path:
        return self._folder / f"{name.replace('/', '@')}.{kind}"

    @contextmanager
    def _door(self) -> Iterator[None]:
        """Let one run at a time come in, go, or break a claim."""
        path = self._path("door", "claim")
        while not self._create(path):
            if not (self._is_left(path) and self._break(path)):
                sleep(PAUSE)
        try:
            yield
        finally:
            self._give_up(path)

    def _is_alone(self) -> bool:
        """Whether no other run takes part."""
        others = [path for path in self._folder.glob("*.present") if path != self._present]
        return all(self._is_left(path) or not path.exists() for path in others)

    def _clear(self) -> None:
        self._clean()
        for path in self._folder.iterdir():
            if path != self._path("door", "claim"):
                path.unlink(missing_ok=True)

    def _create(self, path: Path, text: str = "") -> bool:
        """Create a file of this run's, with its name in it if it is a claim; False if there is one."""
        for _ in range(ATTEMPTS):
            try:
                _write_new(path, text if path.suffix == ".note" else self._owner)
            except FileExistsError:
                return False
            except FileNotFoundError:  # nobody was here, or the last one has just gone
                with suppress(FileNotFoundError):  # and the next one is just going
                    self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
            else:
                if path.suffix != ".note":
                    self._held.add(path)
                return True
        raise StoreError(f"cannot write {path}: its folder is removed again and again")

    def _give_up(self, path: Path) -> None:
        self._held.discard(path)
        with suppress(OSError):
            if path.read_text(encoding="utf-8") == self._owner:
                path.unlink()

    def _take_over(self, path: Path) -> bool:
        """Break a stale claim and claim the piece; returns whether no other run was faster."""
        with self._door():
            return self._is_left(path) and self._break(path) and self._create(path)

    def _break(self, path: Path) -> bool:
        """Remove a claim that was stale; returns whether this run did."""
        grave = path.with_name(f"{secrets.token_hex(8)}.broken")
        with suppress(OSError):
            path.rename(grave)
            try:
                broken = self._is_left(grave)
                if not broken:  # another was faster, and this is the claim of the run that came after
                    os.link(grave, path)
            finally:
                grave.unlink()
            return broken
        return False

    def _is_left(self, path: Path) -> bool:
        return is_left(path, self._clock())

    def _beat(self) -> None:
        """Touch all that this run holds, until it goes."""
        while not self._over.wait(BEAT):
            for path in tuple(self._held):
                with suppress(OSError):
                    os.utime(path)


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; where that fails, as on a full disk, there is none after it."""
    with open(path, "x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
