"""The page docs/speed.md: what was measured, topic by topic, with goals."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from string import ascii_uppercase
from typing import Any

from perf.rounds import Row, Spread

HEAD = """# Speed

How flatqat's speed compares with that of similar tools, as measured by one command, `just perf`. This page is
generated.

The variants of a row take turns in rounds, in random order and without garbage collection in between. The CPU
seconds of two variants are divided round by round, because the speed of a machine with other work wanders by
more than most differences. A figure is the median of these ratios, with the quartiles in brackets; one
without brackets is an exact count, or one measurement. Everything runs on one thread, unless a topic says
otherwise. Peers see the same network, images and batch in the same rounds.

`pip install -e '.[all,perf]'` installs the peers. `just perf --only training` measures one topic anew. The
last section lists what is slower than it should be.
"""
MACHINES = ascii_uppercase  # a letter for each


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What was measured of one topic, where and when.

    Attributes:
        about: What the rows mean: a title, an empty line, and sentences.
        measured: The machine, versions and date in words.
        rounds: The number of rounds.
        rows: The rows.
    """

    about: str
    measured: str
    rounds: int
    rows: Sequence[Row]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Topic":
        rows = []
        for row in value["rows"]:
            peers = {k: v if isinstance(v, str) else Spread(*v) for k, v in row["peers"].items()}
            rows.append(Row(**{**row, "peers": peers}))
        return cls(**{**value, "rows": rows})


def page(topics: Sequence[Topic]) -> str:
    """Return the whole page."""
    places = list(dict.fromkeys(topic.measured for topic in topics))
    sections = [_section(topic, places) for topic in topics]
    return "\n".join([HEAD, _places(places), *sections, _missing(topics)])


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with a column for each peer."""
    peers = list(dict.fromkeys(peer for row in rows for peer in row.peers))
    goals = any(row.goal for row in rows)
    head = ["", "flatqat", *peers, *(["goal"] if goals else [])]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        beside = [shown(row.peers[peer]) if peer in row.peers else "" for peer in peers]
        own = "not measured" if row.value is None else shown(Spread(row.value, row.low, row.high))
        note = f"<br>{row.note}" if row.note else ""
        lines.append([row.name + note, own, *beside, *([row.goal] if goals else [])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def shown(value: Spread | str) -> str:
    """Return a median with its quartiles, or the median alone where there is no spread."""
    if isinstance(value, str):
        return value
    if value.low is None or value.low == value.high:
        return _number(value.median)
    return f"{_number(value.median)} ({_number(value.low)} – {_number(value.high)})"


def reached(row: Row) -> bool | None:
    """Return whether a row keeps its goal; None without a goal or a figure."""
    goal = re.fullmatch(r"([≤≥]) ([0-9.]+)", row.goal)
    if goal is None or row.value is None:
        return None
    return row.value <= float(goal[2]) if goal[1] == "≤" else row.value >= float(goal[2])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.2f}"


def _section(topic: Topic, places: Sequence[str]) -> str:
    title, _, about = topic.about.strip().partition("\n\n")
    taken = f" {topic.rounds} rounds." if topic.rounds > 1 else ""
    if len(places) > 1:
        taken += f" Measured on machine {MACHINES[places.index(topic.measured)]}."
    return f"## {title.rstrip('.')}\n\n{about.strip()}{taken}\n\n{table(topic.rows)}"


def _places(places: Sequence[str]) -> str:
    if len(places) == 1:
        return f"Measured on {places[0]}.\n"
    return "".join(f"- Machine {MACHINES[at]}: {place}.\n" for at, place in enumerate(places))


def _missing(topics: Sequence[Topic]) -> str:
    """Return the goals that are not reached, the peers that are ahead, and what was not measured."""
    rows = [row for topic in topics for row in topic.rows]
    lists = {
        "Goals that are not reached": [_missed(row) for row in rows if reached(row) is False],
        "Peers that are ahead": [_behind(row) for row in rows if _ahead(row)],
        "Not measured": [line for row in rows for line in _unmeasured(row)],
    }
    parts = [f"{title}:\n\n{_listed(lines)}" for title, lines in lists.items()]
    return "\n\n".join(["## What is missing", *parts]) + "\n"


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines or ["none"])


def _missed(row: Row) -> str:
    return f"{row.name}: {_number(row.value or 0)}, goal {row.goal}"


def _behind(row: Row) -> str:
    peers = " and ".join(f"{peer} {_number(value)}" for peer, value in _ahead(row).items())
    return f"{row.name}: flatqat {_number(row.value or 0)}, {peers}"


def _ahead(row: Row) -> dict[str, float]:
    """Return the medians of the peers that are better by a hundredth; less is better without a goal."""
    if row.value is None:
        return {}
    sign = -1 if row.goal.startswith("≥") else 1
    medians = {peer: value.median for peer, value in row.peers.items() if not isinstance(value, str)}
    return {peer: median for peer, median in medians.items() if sign * (row.value - median) >= 0.01}


def _unmeasured(row: Row) -> list[str]:
    """Return why flatqat or a peer has no figure in a row."""
    own = [f"{row.name}: {row.note}"] if row.value is None else []
    peers = [f"{row.name}, {peer}: {why}" for peer, why in row.peers.items() if isinstance(why, str)]
    return own + peers
