"""Claims on pieces of work in a results folder, so that several runs can share it.

    RESULTS/.work/claims/<piece>.claim   a run is doing this piece of work
    RESULTS/.work/claims/<run>.present   a run takes part
    RESULTS/.work/claims/<name>.note     something that all runs should know

A claim is a file that is created exclusively, so that one run gets it, and that its owner touches regularly.
One that has not been touched for a minute, whose time is more than a minute ahead, or whose process on this
machine has ended, is stale: other runs may break it by renaming it, which only one of them can. The first run
to enter removes what killed runs left, that is claims and what `clean` finds; the last one to leave removes
the same and the folder. Claims only save time: if two runs do the same piece, both results are correct.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from time import sleep, time
from typing import TypeVar

from flatqat.bench.records.files import unwritable_file
from flatqat.bench.records.owners import is_left, new_owner
from flatqat.errors import StoreError

T = TypeVar("T")

BEAT = 15.0  # seconds; clocks of machines that share a folder may differ by what is left to LEFT_AFTER
PAUSE = 0.01
ATTEMPTS = 100  # to create a file in a folder that others remove as often


class Claims:
    """The claims of one run in a results folder, within `with`."""

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time, clean: Callable[[], None] = lambda: None
    ) -> None:
        self._folder, self._clock, self._clean = folder, clock, clean
        self._owner = new_owner()
        self._present = folder / f"{self._owner.rpartition(' ')[2]}.present"
        self._held: set[Path] = set()
        self._over = Event()

    def __enter__(self) -> "Claims":
        """Enter. Raises StoreError if the folder cannot be written."""
        Thread(target=self._beat, daemon=True).start()  # first, since clearing a large folder takes long
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
        """Give up all claims and leave; the last run removes the folder."""
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
        """Wait until a piece can be claimed, and claim it within a block."""
        while not self.take(piece):
            sleep(PAUSE)
        try:
            yield
        finally:
            self.release(piece)

    @contextmanager
    def each(self, pieces: Mapping[str, T], done: Callable[[T], bool]) -> Iterator[Iterator[T]]:
        """Yield an iterator over the pieces (by their names) that are neither done nor claimed by others.

        Each stays claimed until it is done, or until the end of the block: so a caller may work on the next
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
                    if not done(piece):  # done by another run since the last check?
                        yield piece

        try:
            yield free()
        finally:
            for name in held:
                self.release(name)

    def note(self, name: str, text: str = "") -> bool:
        """Leave a note for all runs; returns whether it is new. It is removed when the last run leaves."""
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
        """Let only one run at a time enter, leave, or break a claim."""
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
        """Create a file of this run, which holds its name unless it is a note; False if the file exists."""
        for _ in range(ATTEMPTS):
            try:
                _write_new(path, text if path.suffix == ".note" else self._owner)
            except FileExistsError:
                return False
            except FileNotFoundError:  # no run was here, or the last one has just left
                self._make_folder()
            except OSError as error:
                raise unwritable_file(path, error) from error
            else:
                if path.suffix != ".note":
                    self._held.add(path)
                return True
        raise StoreError(f"cannot write {path}: its folder is removed again and again")

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:  # another run is just leaving
            pass
        except OSError as error:
            raise unwritable_file(self._folder, error) from error

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
        """Touch all files that this run holds, until it leaves."""
        while not self._over.wait(BEAT):
            for path in tuple(self._held):
                with suppress(OSError):
                    os.utime(path)


def _write_new(path: Path, text: str) -> None:
    """Write a new file; if that fails, as on a full disk, none is left."""
    with open(path, "x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
