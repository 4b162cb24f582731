"""What else differs between a cell of the baseline and that of the results, in plain words.

Nothing of this is an error: it is what somebody edited, or what a change of accuracy may come from.
"""

from collections.abc import Iterable, Iterator, Sequence

from flatqat.bench.gate.series import Series
from flatqat.spec import Args, Cell, Environment

SHOWN_DIGITS = 12
NONE, DEFAULT, SEVERAL = "none", "default", "/"
ENVIRONMENT = ("device", "threads", "python", "flatqat", "kernels")


def what_differs(before: Series, now: Series) -> list[str]:
    """Return what differs between two series of one role: seeds, identity and environment."""
    found = [*_seeds(before, now), *_identity(before, now)]
    if not any(run.scored_in for run in before.done):
        return [*found, "the baseline holds no environment"]
    return [*found, *_environment(before, now)]


def _seeds(before: Series, now: Series) -> Iterator[str]:
    if before.seeds != now.seeds:
        yield f"seeds {_listed(before.seeds)} → {_listed(now.seeds)}"


def _identity(before: Series, now: Series) -> Iterator[str]:
    old, new = before.cell, now.cell
    if not all(run.identified for run in before.done):
        yield "code, weights or settings: the baseline has other ids, and does not hold what they stand for"
        return
    for what, a, b in (
        ("version of the method", old.method_version, new.method_version),
        ("version of its quantization", old.quant_version, new.quant_version),
        ("code of its plugin files was edited:", old.plugins, new.plugins),
        ("start weights", _short(old), _short(new)),
        ("preprocessing", old.preprocessing, new.preprocessing),
        ("bfloat16", _word(old.amp), _word(new.amp)),
        ("multiplier of steps", old.step_multiplier, new.step_multiplier),
    ):
        if a != b:
            yield f"{what} {_text(a)} → {_text(b)}"
    for owner, ours, theirs in (
        (old.method, old.method_args, new.method_args),
        ("recipe", old.recipe_args, new.recipe_args),
    ):
        yield from _settings(owner, ours, theirs)
    parents = [{run.cell.seed: run.cell.parent for run in side.done} for side in (before, now)]
    same_files = old.plugins == new.plugins and old.weights == new.weights
    if same_files and any(parents[0][s] != parents[1][s] for s in parents[0].keys() & parents[1].keys()):
        yield "the training that it starts from"
    yield from _of_values("data", *_data(before, now))


def _data(before: Series, now: Series) -> list[list[str]]:
    """Return the fingerprints to compare: where seeds have images of their own, those of the same seeds."""
    if not all(run.data for run in [*before.done, *now.done]):  # older baselines hold none
        return [[], []]
    kept = {*before.seeds, *now.seeds}
    if any(run.nested for run in before.done):
        kept = {*before.seeds} & {*now.seeds}
    return [[run.data for run in side.done if run.cell.seed in kept] for side in (before, now)]


def _environment(before: Series, now: Series) -> Iterator[str]:
    """Yield differences between the environments of scoring, then others between those of training."""
    sides = before.done, now.done
    known = list(_of_places(*([env for run in side for env in run.scored_in] for side in sides)))
    yield from known
    for text in _of_places(*([env for run in side for env in run.trained_in] for side in sides)):
        if text not in known:
            yield f"in training: {text}"


def _of_places(before: Sequence[Environment], now: Sequence[Environment]) -> Iterator[str]:
    """Yield the differences between two groups of environments."""
    if {env.kind for env in before} != {env.kind for env in now}:
        yield "another kind of device, whose numbers differ in last digits without any edit"
    sides = [[_versions(env) for env in side] for side in (before, now)]
    for name in dict.fromkeys(name for side in sides for one in side for name in one):
        yield from _of_values(name, *([one.get(name) for one in side] for side in sides))


def _versions(env: Environment) -> dict[str, object]:
    """Return what numbers may depend on; what older records did not hold is left out."""
    known = {name: value for name in ENVIRONMENT if (value := getattr(env, name))} | dict(env.packages)
    if env.cuda:
        known |= {"CUDA": env.cuda.version, "cuDNN": env.cuda.cudnn, "driver": env.cuda.driver}
        known |= {f"flag {name}": _word(on) for name, on in env.cuda.flags.items()}
    return known


def _of_values(what: str, before: Iterable[object], now: Iterable[object]) -> Iterator[str]:
    """Yield the difference between two groups of values, if there is one."""
    ours, theirs = (_listed(sorted(set(map(_text, values))), SEVERAL) for values in (before, now))
    if ours != theirs:
        yield f"{what} {ours} → {theirs}"


def _settings(owner: str, ours: Args, theirs: Args) -> Iterator[str]:
    old, new = dict(ours), dict(theirs)
    for name in sorted({**old, **new}):
        a, b = (side.get(name, DEFAULT) for side in (old, new))
        if a != b:
            yield f"setting {owner}.{name} {a} → {b}"


def _listed(values: Iterable[object], separator: str = ",") -> str:
    return separator.join(map(str, values))


def _short(cell: Cell) -> str | None:
    return cell.weights_name(SHOWN_DIGITS) or None


def _word(on: bool) -> str:
    return "on" if on else "off"


def _text(value: object) -> str:
    return NONE if value is None else str(value)
