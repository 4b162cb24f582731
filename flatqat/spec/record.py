"""What is kept of a cell. Standard library only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, cast

from flatqat.spec.cell import Cell
from flatqat.spec.cost import Cost
from flatqat.spec.deployment import Deployment
from flatqat.spec.environment import Environment
from flatqat.spec.flatness import Flatness
from flatqat.spec.protocol import Protocol, TrainLog
from flatqat.spec.quant import QuantSpec
from flatqat.spec.reading import FieldError, Stored, from_plain, to_plain
from flatqat.spec.recipe import Recipe
from flatqat.spec.scores import Score, Scores
from flatqat.spec.shared import SHARED

SCHEMA = 2
Status = Literal["done", "failed", "skipped"]

NO_RECIPE = Recipe(pretrain_steps=0, steps=0)
NO_PROTOCOL = Protocol(
    suite="", data="", reference=False, parent="", recipe=NO_RECIPE, quant=QuantSpec(), method={}, shifts={}
)
NOT_TRAINED = TrainLog(steps=0, last_loss=None, seconds=0.0)
NOWHERE = Environment(device="", threads=1, flatqat="", python="", packages={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Stored):
    """What is kept of a cell. One that failed or was skipped has a reason, and none of the fields below it.

    Attributes:
        cell: The cell.
        status: Whether it is done, failed, or was skipped.
        reason: Why it is not done; empty where it is.
        scores: `scores[shift][metric]`.
        flatness: The flatness of the loss around its weights.
        train: What happened in training.
        protocol: How the numbers were made.
        env: Where `id` was scored, and where every part was computed that names no other place: `train`, sets
            in `protocol.scoring`, spaces in `flatness`. In older records, where they were written.
        outcomes_sha256: The SHA-256 of its file of per-image outcomes; empty in older records.
        last_run: When it was last run, in UTC; empty in older records.
        cost: What its network costs for one image; None in older records.
        deployed: What the exported file that was verified last does; None if none was.
        elsewhere: What the same file does in other runtimes, by their name.
    """

    cell: Cell
    status: Status
    reason: str = ""
    scores: Annotated[Mapping[str, Mapping[str, Score]], Scores.read] = field(default_factory=dict)
    flatness: Flatness = field(default_factory=Flatness)
    train: TrainLog = NOT_TRAINED
    protocol: Protocol = NO_PROTOCOL
    env: Annotated[Environment, SHARED] = NOWHERE
    outcomes_sha256: str = ""
    last_run: str = ""
    cost: Cost | None = None
    deployed: Deployment | None = None
    elsewhere: Mapping[str, Deployment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.scores, Scores):
            object.__setattr__(self, "scores", Scores.of(self.scores))

    def values(self, metric: str, shifts: Iterable[str]) -> list[float | None]:
        """Return the values of a metric on some sets, None where it is not defined."""
        return self.columns.values_of(metric, shifts)

    @property
    def data_key(self) -> str:
        """The name of the images that it was scored on: the suite, and the split where seeds decide it."""
        return self.cell.suite + self.protocol.split

    @property
    def columns(self) -> Scores:
        """The scores as they are kept; `scores` is for looking up one."""
        return cast(Scores, self.scores)

    @property
    def environments(self) -> list[Environment]:
        """The different places where it was computed, `env` first."""
        spaces = (space.env for space in self.flatness.spaces.values())
        return _different([self.env, self.train.env, *self.scored_in, *spaces])

    @property
    def scored_in(self) -> list[Environment]:
        """The different places where its sets were scored, `env` first."""
        return _different([self.env, *(log.env for log in self.protocol.scoring.values())])

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values: every field of one that is done, else the first three."""
        names = ALWAYS if self.status == "done" else ALWAYS[:3]
        optional = {name: to_plain(value) for name in LATER if (value := getattr(self, name))}
        return {name: to_plain(getattr(self, name)) for name in names} | optional

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Record":
        """Return the inverse of `to_dict`. Raises FieldError on data of another shape."""
        if data.get("status") == "done":
            for name in ALWAYS:
                if name not in data:
                    raise FieldError("expected a value, got none", (name,))
        record: Record = from_plain(cls, dict(data))
        return record


def _different(places: Iterable[Environment | None]) -> list[Environment]:
    """Return each of the places that are named once, in order."""
    found: list[Environment] = []
    for env in places:
        if env is not None and env not in found:
            found.append(env)
    return found


LATER = ("outcomes_sha256", "last_run", "cost", "deployed", "elsewhere")
ALWAYS = tuple(each.name for each in fields(Record) if each.name not in LATER)
"""The fields of the record of every finished cell."""
