"""Several processes at work show as one: a shared bar, each line once, the tasks of a dead one ended."""

import pickle

import pytest
from rich.console import Console

from flatqat.console.live import LiveProgress
from flatqat.console.merged import Merged, Receiver, Sent
from flatqat.console.progress import PlainProgress, Progress
from flatqat.console.terminal import terminal


class Shown(Progress):
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def say(self, text):
        self.events.append(text)

    def task(self, description, total, doing=None):
        return _Task(self.events, description, total)


class _Task:
    def __init__(self, events, description, total):
        self.events, self.description, self.total = events, description, total

    def __enter__(self):
        self.events.append(("begin", self.description, self.total))
        return lambda n: self.events.append((self.description, n))

    def __exit__(self, kind, *rest):
        self.events.append(("failed" if kind else "end", self.description))


def test_what_several_do_together_is_one_task():
    shown = Shown()
    merged = Merged(shown)
    with merged.task("evaluate", 4) as a:
        a(1)
        with merged.task("evaluate", 3) as b, merged.task("train", 2) as c:
            b(1)
            c(2)
        a(2)
    with merged.task("evaluate", 1):
        pass
    assert shown.events == [
        ("begin", "evaluate", 4), ("evaluate", 1), ("begin", "train", 2), ("evaluate", 1), ("train", 2),
        ("end", "train"), ("evaluate", 2), ("end", "evaluate"), ("begin", "evaluate", 1), ("end", "evaluate"),
    ]  # fmt: skip


def test_a_task_that_fails_is_not_shown_as_ended():
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), Merged(PlainProgress(said.append)).task("train", 2):
        raise ZeroDivisionError
    assert said == []


def test_a_line_is_said_once_whatever_time_is_left():
    shown = Shown()
    merged = Merged(shown)
    for text in ("score 2 cells, about 3 s left in all", "x", "score 2 cells, about 2 s left in all", "x"):
        merged.say(text)
    assert shown.events == ["score 2 cells, about 3 s left in all", "x"]


def test_progress_goes_through_a_pipe():
    shown = Shown()
    receiver = Receiver(shown)
    sent = Sent(lambda event: receiver.show(pickle.loads(pickle.dumps(event))))
    sent.say("hello")
    with sent.task("train", 2) as advance:
        advance(2)
    with pytest.raises(ZeroDivisionError), sent.task("score", 1):
        raise ZeroDivisionError
    assert shown.events == [
        "hello", ("begin", "train", 2), ("train", 2), ("end", "train"),
        ("begin", "score", 1), ("failed", "score"),
    ]  # fmt: skip


def test_the_tasks_of_a_process_that_died_are_over():
    shown = Shown()
    receiver = Receiver(shown)
    receiver.show(("begin", 0, "train", 2, None))
    receiver.close()
    receiver.close()
    assert shown.events == [("begin", "train", 2), ("failed", "train")]


def test_bars_of_several_tasks_stand_side_by_side():
    live = LiveProgress(terminal(force_terminal=True, quiet=True))
    with live.task("a", 2):
        with live.task("b", 2):
            assert [task.description for task in live.bars.tasks] == ["a", "b"]
        assert live.bars.live.is_started
        assert [task.description for task in live.bars.tasks] == ["a"]
    assert not live.bars.live.is_started
    with pytest.raises(ZeroDivisionError), live.task("c", 2):
        raise ZeroDivisionError
    assert (live.bars.tasks, live.bars.live.is_started) == ([], False)


def test_brackets_in_a_description_are_no_markup():
    live = LiveProgress(terminal(force_terminal=True, quiet=True, width=100))
    with open("/dev/null", "w") as sink, live.task("train [red]qat[/nothing]", 2):
        paper = Console(width=100, record=True, file=sink)
        paper.print(live.bars.get_renderable())
    assert paper.export_text().startswith("train [red]qat[/nothing] ")
