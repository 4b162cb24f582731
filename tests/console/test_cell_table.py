"""A table of cells that fits a terminal, whatever happens to them and however many there are."""

import re

import pytest
from rich.console import Console

from flatqat.console.board import UNKNOWN, Board, Doing, Row
from flatqat.console.cell_table import cell_lines
from flatqat.console.live import LINES_OF_TALK, LiveProgress
from flatqat.console.progress import PlainProgress, Progress, progress_for
from flatqat.console.terminal import terminal


def row(method: str, bits: str = "4", seed: int = 0, **changes) -> Row:
    labels = changes.pop("labels", ("toy", "tiny", method, bits))
    fields = {
        "key": f"{method}-{bits}-{seed}",
        "title": f"tiny {method} {bits} seed {seed}",
        "metric": "top-1",
    }
    return Row(labels=labels, seed=seed, **{**fields, **changes})


ROWS = [
    row("pretrain", "fp", scored=False),
    row("fp", "fp", state="done", scores=(85.44, 71.25)),
    row("qat"),
    row("anchor(coupling=dampen, strength=0.001)"),
    row("sam"),
    row("ptq"),
    row("aqua"),
]
KEYS = [one.key for one in ROWS]


def tell(progress: Progress, then) -> None:
    """What a run says of some cells; `then` is called while one is trained and another is scored."""
    pretrained, _, qat, anchor, sam, ptq, aqua = KEYS
    with progress.cells(ROWS):
        progress.cell(pretrained, "trained")
        progress.cell(qat, "trained")
        progress.cell(qat, "scored")
        progress.cell(qat, "trained", (80.06, None))
        progress.cell(qat, "done", (80.06, 60.0))
        progress.cell(qat, "trained")  # by one that looks late
        progress.cell(ptq, "trained", (50.0, None))
        progress.cell(ptq, "failed")
        progress.cell(aqua, "skipped")
        progress.cell("of another run", "done", (1.0, 1.0))
        progress.cell(sam, "trained", (70.0, None))
        with (
            progress.task("train anchor", 30, Doing("training", (anchor,))) as steps,
            progress.task("evaluate", 46, Doing("scoring", (sam,), counted=True)) as shifts,
        ):
            steps(14)
            shifts(12)
            then()


def drawn(width: int, height: int = 24) -> str:
    """What stands on a terminal while cells are worked on, without the bars."""
    found = []
    with open("/dev/null", "w") as sink:
        console = terminal(file=sink, force_terminal=True, width=width, height=height, no_color=True)
        live = LiveProgress(console)
        paper = Console(width=width, record=True, file=sink)
        tell(live, lambda: paper.print(live.table(2)))
        found.append(paper.export_text())
    return "\n".join(line.rstrip() for line in found[0].splitlines())


WIDE = """\
method                                   bits  seed  state            top-1 ID    OOD
pretrain                                 fp       0  trained
fp                                       fp       0  done                 85.4   71.2
qat                                      4        0  done                 80.1   60.0
anchor(coupling=dampen, strength=0.001)  4        0  training 46%
sam                                      4        0  scoring 12/46        70.0
ptq                                      4        0  failed
aqua                                     4        0  skipped
4 of 6 cells finished (1 failed, 1 skipped)"""

AT_80 = """\
method                              bits  seed  state            top-1 ID    OOD
pretrain                            fp       0  trained
fp                                  fp       0  done                 85.4   71.2
qat                                 4        0  done                 80.1   60.0
anchor(coupling=dampen, strength=…  4        0  training 46%
sam                                 4        0  scoring 12/46        70.0
ptq                                 4        0  failed
aqua                                4        0  skipped
4 of 6 cells finished (1 failed, 1 skipped)"""

AT_50 = """\
method  bits  seed  state            top-1 ID
pretr…  fp       0  trained
fp      fp       0  done                 85.4
qat     4        0  done                 80.1
ancho…  4        0  training 46%
sam     4        0  scoring 12/46        70.0
ptq     4        0  failed
aqua    4        0  skipped
4 of 6 cells finished (1 failed, 1 skipped)"""


@pytest.mark.parametrize(("width", "text"), [(100, WIDE), (80, AT_80), (50, AT_50)])
def test_every_cell_has_a_line_that_fits(width, text):
    """Names are cut first; then whole columns go, never a part of a number."""
    assert drawn(width) == text


def board_of(methods: int, seeds: int) -> Board:
    return Board([row(f"m{k}", seed=seed) for seed in range(seeds) for k in range(methods)])


def text_of(board: Board, height: int) -> list[str]:
    return [line for line, _ in cell_lines(board, 80, height)]


def test_many_seeds_share_the_line_of_their_method():
    board = board_of(methods=3, seeds=4)
    for seed, scores in enumerate([(90.0, 50.0), (80.0, 61.0)]):
        board.move(f"m0-4-{seed}", "done", scores)
    board.move("m0-4-2", "failed", UNKNOWN)
    board.move("m0-4-3", "trained", (10.0, None))  # its seed is not in the mean before both scores are
    board.move("m1-4-1", "trained", (30.0, None))
    assert len(text_of(board, 14)) == 14
    assert text_of(board, 13) == [
        "method  bits  state                 top-1 ID    OOD",
        "m0      4     3 of 4, 1 failed          85.0   55.5",
        "m1      4     1 of 4 trained            30.0",
        "m2      4     waiting",
        "3 of 12 cells finished (1 failed)",
    ]
    with (
        board.at_work(Doing("training", ("m0-4-3", "m1-4-0")), 10) as activity,
        board.at_work(Doing("training", ("m1-4-2",)), 0),
    ):
        activity.done = 5
        assert [line.split("4     ")[1] for line in text_of(board, 9)[1:3]] == [
            "3 of 4, training 50%      85.0   55.5",
            "training 50%              30.0",
        ]


@pytest.mark.parametrize("seeds", [1, 3])
def test_of_too_many_rows_the_most_recent_stay(seeds):
    board = board_of(methods=30, seeds=seeds)
    for k in (20, 3, 11):
        board.move(f"m{k}-4-0", "done", (50.0, 40.0))
    with board.at_work(Doing("training", ("m29-4-0",)), 10):
        board.move("m7-4-0", "trained", UNKNOWN)
        lines = text_of(board, 6)
    assert [line.split()[0] for line in lines[1:-1]] == ["m3", "m7", "m11", "m29"]
    assert lines[-1] == f"3 of {30 * seeds} cells finished; 26 more rows"


@pytest.mark.parametrize("height", range(-3, 30))
def test_it_is_never_higher_or_wider_than_the_terminal(height):
    for board in (board_of(3, 3), board_of(30, 1), board_of(12, 3), board_of(1, 1)):
        for width in (8, 20, 37, 50, 80):
            lines = cell_lines(board, width, height)
            assert len(lines) <= max(height, 0)
            assert all(len(line) <= width for line, _ in lines)


def test_suites_and_models_are_named_where_there_are_several():
    rows = [
        row(m, labels=("toy", m, "qat", "4"), metric=metric) for m, metric in (("a", "top-1"), ("b", "mIoU"))
    ]
    assert text_of(Board(rows), 9)[0] == "model  method  bits  seed  state            top-1/mIoU ID    OOD"
    rows = [row(s, labels=(s, s, "qat", "4")) for s in ("a", "b")]
    assert text_of(Board(rows), 9)[1] == "a      a      qat     4        0  waiting"


def test_no_name_steers_the_terminal():
    lines = text_of(Board([row("a\x1b[2Jb\nc")]), 9)
    assert not re.search(r"[\x00-\x1f]", "".join(lines))


def test_a_cell_never_moves_back():
    board = Board([row("qat")])
    (cell,) = board.cells
    assert board.move(KEYS[2], "scored", UNKNOWN) is cell
    for state in ("scored", "trained", "starting"):
        assert board.move(KEYS[2], state, (80.0, None)) is None
        assert (cell.state, cell.scores) == ("scored", (80.0, None))


def test_plain_lines_say_how_each_cell_ended():
    said: list[str] = []
    tell(PlainProgress(said.append), lambda: said.append("---"))
    assert said[:4] == [
        "done tiny qat 4 seed 0: top-1 80.1, OOD 60.0 (2 of 6)",
        "failed tiny ptq 4 seed 0 (3 of 6)",
        "skipped tiny aqua 4 seed 0 (4 of 6)",
        "---",
    ]
    assert [line.partition(":")[0] for line in said[4:]] == ["evaluate", "train anchor"]


class Terminal:
    """A file that says it is a terminal, and keeps what it gets."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


def terminal_of(monkeypatch, **environment: str) -> Console:
    for name in ("CI", "TERM", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    return terminal(file=Terminal(), width=80, height=24)


def test_an_interrupt_leaves_the_terminal_as_it_was(monkeypatch):
    console = terminal_of(monkeypatch)
    live = progress_for(console)

    def interrupt():
        live.bars.refresh()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tell(live, interrupt)
    text = console.file.text
    assert "training 46%" in text
    height = len(AT_80.splitlines()) + 2
    *_, last = text.rsplit("left", 1)
    assert last.count("\x1b[1A\x1b[2K") >= height - 1
    assert re.sub(r"\x1b\[1A|\x1b\[2K|\s|\x1b\[\?25h|\x1b\[0m", "", last) == "", "erased, and nothing after"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"
    assert not live.bars.live.is_started
    assert height <= 24 - LINES_OF_TALK


def test_without_colors_none_are_written(monkeypatch):
    console = terminal_of(monkeypatch, NO_COLOR="1")
    live = progress_for(console)
    tell(live, live.bars.refresh)
    assert "failed" in console.file.text
    assert not re.search(r"\x1b\[(?:[0-9]+;)*(?:3[0-9]|4[0-9]|9[0-9])[;m]", console.file.text)


KINDS = [
    ({}, LiveProgress),
    ({"CI": "false"}, LiveProgress),
    ({"CI": "true"}, PlainProgress),
    ({"TERM": "dumb"}, PlainProgress),
]


@pytest.mark.parametrize(("environment", "kind"), KINDS)
def test_only_a_terminal_that_can_draw_gets_a_table(environment, kind, monkeypatch):
    assert type(progress_for(terminal_of(monkeypatch, **environment))) is kind
