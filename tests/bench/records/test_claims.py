"""Claims: one process has a piece; those of dead and silent ones are broken by one; nothing is left over."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import sleep, time

import pytest

from flatqat.bench.records import claims as module
from flatqat.bench.records import owners
from flatqat.bench.records.claims import Claims
from flatqat.bench.records.owners import machine
from flatqat.errors import StoreError


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / ".work" / "claims"


def later(seconds: float):
    return lambda: time() + seconds


def written(folder: Path, name: str, machine: str, pid: int) -> Path:
    """A file as another process left it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"{machine} {pid} abc")
    return path


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_run_has_a_piece_until_it_gives_it_up(folder):
    with Claims(folder) as a, Claims(folder) as b:
        assert a.take("x/1")
        assert not b.take("x/1")
        assert b.take("x/2")
        a.release("x/1")
        assert b.take("x/1")
        a.release("x/1")  # not its own any more
        assert not a.take("x/1")


def test_a_piece_is_given_up_when_doing_it_fails(folder):
    with Claims(folder) as a, Claims(folder) as b:
        with suppress(KeyboardInterrupt), a.hold("x") as mine:
            assert mine
            raise KeyboardInterrupt
        with b.hold("x") as mine, a.hold("x") as others:
            assert (mine, others) == (True, False)
            with b.hold("x") as again:
                assert not again
            assert not a.take("x"), "who does not get a piece gives up none"
        assert a.take("x")


@pytest.mark.parametrize(("age", "broken"), [(59.0, False), (61.0, True), (-59.0, False), (-61.0, True)])
def test_a_claim_that_is_not_touched_for_a_minute_is_stale(folder, age, broken):
    with Claims(folder) as a, Claims(folder, clock=later(age)) as b:
        assert a.take("x")
        assert b.take("x") == broken
        a.release("x")
        assert a.take("x") != broken, "what another has taken over is not given up"


def test_a_claim_is_touched_as_long_as_its_owner_lives(folder, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.01)
    with Claims(folder) as a:
        a.take("x")
        os.utime(folder / "x.claim", (0, 0))
        for _ in range(500):
            sleep(0.01)
            if (folder / "x.claim").stat().st_mtime > 0:
                break
        assert (folder / "x.claim").stat().st_mtime > time() - 60


@pytest.mark.timeout(20)
def test_a_door_whose_time_lies_in_the_future_holds_up_no_run(folder):
    door = written(folder, "door.claim", "elsewhere", 1)
    os.utime(door, (time() + 1e8,) * 2)
    with Claims(folder) as claims:
        assert claims.take("x")


def test_the_claim_of_a_process_that_has_ended_here_is_stale_at_once(folder):
    with Claims(folder) as a:
        written(folder, "x.claim", machine(), dead_pid())
        written(folder, "y.claim", "elsewhere", dead_pid())
        (folder / "z.claim").touch()  # its owner is just writing it
        assert a.take("x")
        assert not a.take("y")
        assert not a.take("z")


def test_a_process_of_another_machine_of_the_same_name_may_be_alive(folder, tmp_path, monkeypatch):
    boot = tmp_path / "boot_id"
    boot.write_text("other\n")
    with monkeypatch.context() as patch:
        patch.setattr(owners, "BOOT", boot)
        namesake = machine.__wrapped__()
    with Claims(folder) as claims:
        written(folder, "x.claim", namesake, dead_pid())
        written(folder, "y.claim", machine(), dead_pid())
        assert (claims.take("x"), claims.take("y")) == (False, True)


def test_of_many_that_break_a_claim_one_has_it(folder):
    crowd = [Claims(folder) for _ in range(8)]
    pid = dead_pid()
    for number in range(20):
        written(folder, f"{number}.claim", machine(), pid)
        start, taken = threading.Barrier(len(crowd)), []

        def work(claims, number=number, start=start, taken=taken):
            start.wait()
            taken.append(claims.take(str(number)))

        threads = [threading.Thread(target=work, args=(claims,)) for claims in crowd]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taken) == 1
    assert len(list(folder.iterdir())) == 20


def test_who_breaks_the_claim_of_the_door_too_late_puts_back_the_one_that_came_after(folder, monkeypatch):
    a, b = Claims(folder), Claims(folder)
    written(folder, "door.claim", machine(), dead_pid())
    rename, path = Path.rename, folder / "door.claim"

    def delayed(path, target):
        monkeypatch.undo()
        assert b._break(path)
        assert b.take("door")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", delayed)
    assert not a._break(path)
    assert path.read_text() == b._owner
    assert list(folder.iterdir()) == [path]


def test_who_cannot_put_back_a_claim_as_another_has_come_leaves_no_file_of_his_own(folder, monkeypatch):
    a, b, c = (Claims(folder) for _ in range(3))
    assert b.take("x")
    path, link = folder / "x.claim", os.link

    def late(*args):
        assert c.take("x")
        link(*args)

    monkeypatch.setattr(os, "link", late)
    assert not a._break(path)
    assert list(folder.iterdir()) == [path]
    assert path.read_text() == c._owner


def test_who_waits_at_the_door_breaks_nothing_as_long_as_those_before_live(folder, monkeypatch):
    monkeypatch.setattr(Claims, "_break", lambda self, path: broken.append(path))
    monkeypatch.setattr(module, "PAUSE", 0.0)
    broken, inside = [], []

    def work(claims):
        for _ in range(100):
            with claims._door():
                inside.append(len(list(folder.glob("door.claim"))))

    threads = [threading.Thread(target=work, args=(Claims(folder),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == [1] * 400
    assert not broken


def test_the_last_one_that_goes_leaves_nothing(tmp_path, folder):
    with Claims(folder) as a:
        with Claims(folder) as b:
            a.note("told", "text")
            b.take("x")
        assert a.noted("told")
        assert not (folder / "x.claim").exists()
    assert not list(tmp_path.iterdir())


def test_other_work_in_progress_stays(tmp_path, folder):
    with Claims(folder):
        (folder.parent / "cell").mkdir()
    assert [path.name for path in folder.parent.iterdir()] == ["cell"]


def test_who_comes_in_first_removes_what_killed_runs_left(folder):
    for name in ("x.claim", "a.present", "old.note", "abc.broken"):
        written(folder, name, machine(), dead_pid())
    with Claims(folder) as a:
        assert not a.noted("old")
        assert [path.suffix for path in folder.iterdir()] == [".present"]
        a.note("new")
        with Claims(folder) as b:
            assert b.noted("new")


def test_notes_are_written_once_and_found_by_their_beginning(folder):
    with Claims(folder) as a, Claims(folder) as b:
        assert a.note("trouble-1", "first")
        assert not b.note("trouble-1", "second")
        b.note("other")
        assert a.notes("trouble-") == {"1": "first"}
        a.withdraw("trouble-1")
        a.withdraw("trouble-1")
        assert not b.noted("trouble-1")


def test_each_gives_what_is_free_and_keeps_it_until_it_is_done(folder):
    done: list[int] = []
    pieces = {str(number): number for number in range(5)}
    with Claims(folder) as a, Claims(folder) as b:
        done.append(1)
        b.take("2")
        with a.each(pieces, done.__contains__) as free:
            assert next(free) == 0
            assert next(free) == 3  # 1 is done, another is at 2
            assert not b.take("0"), "it may still be written"
            done.append(0)
            assert next(free) == 4
            assert b.take("0")
            assert list(free) == []
            assert not b.take("4")
        assert b.take("4")


def test_what_was_done_between_the_two_looks_is_not_done_again(folder):
    looks = iter([False, True])
    with Claims(folder) as a, Claims(folder) as b:
        with a.each({"x": 1}, lambda piece: next(looks)) as free:
            assert list(free) == []
        assert b.take("x")


def test_a_folder_that_is_removed_meanwhile_is_made_again(folder):
    with Claims(folder) as a:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        assert a.take("x")
        assert not a.noted("y")
        assert a.notes("") == {}


def test_a_folder_whose_parent_is_removed_while_it_is_made_is_made_again(folder, monkeypatch):
    mkdir, failures = Path.mkdir, [1, 2]

    def gone(self, *args, **options):
        if failures:
            failures.pop()
            raise FileNotFoundError
        return mkdir(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", gone)
    with Claims(folder) as a:
        assert a.take("x")
    assert not failures


def test_a_folder_that_cannot_be_written_is_named(folder, monkeypatch):
    def refused(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(StoreError, match=r"cannot write .*claims: Permission denied"), Claims(folder):
        pass


def test_a_disk_that_is_full_is_named(folder, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    with Claims(folder) as a, monkeypatch.context() as patch:
        patch.setattr("builtins.open", full)
        with pytest.raises(StoreError, match=r"cannot write .*x\.claim: No space left"):
            a.take("x")


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX limits the size of files")
def test_what_finds_no_room_on_the_disk_leaves_no_empty_file_for_which_others_would_wait(folder):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    folder.mkdir(parents=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot write"):
            Claims(folder).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(folder.iterdir())


def test_the_door_is_kept_while_a_large_folder_is_cleared(folder, monkeypatch):
    """Otherwise another run would break it after a minute, and lose its own claims to this one's clearing."""
    monkeypatch.setattr(module, "BEAT", 0.01)
    ages = []

    def slowly():
        door = folder / "door.claim"
        os.utime(door, (0, 0))
        for _ in range(500):
            if door.stat().st_mtime > 0:
                break
            sleep(0.01)
        ages.append(door.stat().st_mtime)

    with Claims(folder, clean=slowly):
        pass
    assert len(ages) == 2, "when it comes in, and when it goes"
    assert min(ages) > 0
