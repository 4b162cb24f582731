"""Records as they were first written: the same content under other names."""

from collections.abc import Mapping
from typing import Any

CELL = {"budget": "recipe", "budget_args": "recipe_args", "stretch": "step_multiplier"}
PROTOCOL = {"budget": "recipe", "start": "parent"}
SHIFT = {"pool": "image_set", "headline": "in_mean"}
MEASURES = {"flips": "code_flips", "scale": "step_size_noise"}
SPACES = {"scale": "step_size"}


def upgrade(data: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a record of schema 1 under the names of schema 2."""
    protocol = _renamed(data["protocol"], PROTOCOL)
    if "shifts" in protocol:
        protocol["shifts"] = upgrade_shifts(protocol["shifts"])
    return {
        **data,
        "cell": _renamed(data["cell"], CELL),
        "protocol": protocol,
        "flatness": {SPACES.get(name, name): _space(found) for name, found in data["flatness"].items()},
    }


def upgrade_shifts(shifts: Mapping[str, Any]) -> dict[str, Any]:
    """What records and baselines say of each shift."""
    return {name: _renamed(about, SHIFT) for name, about in shifts.items()}


def _space(found: Any) -> Any:
    if not isinstance(found, Mapping):
        return found
    renamed = _renamed(found, MEASURES)
    for measure in (renamed, renamed.get("step_size_noise")):
        if isinstance(measure, dict) and "space" in measure:
            measure["space"] = SPACES.get(measure["space"], measure["space"])
    return renamed


def _renamed(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in data.items()}
