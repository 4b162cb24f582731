"""Records and baselines of schema 1, under the names and in the places of schema 2.

What does not have the shape of schema 1 is passed on as it is: reading reports it.
"""

from collections.abc import Mapping
from typing import Any

CELL = {"budget": "recipe", "budget_args": "recipe_args", "stretch": "step_multiplier"}
PROTOCOL = {"budget": "recipe", "start": "parent"}
SHIFT = {"pool": "image_set", "headline": "in_mean"}
MEASURES = {"flips": "code_flips", "scale": "step_size_noise"}
SPACES = {"scale": "step_size"}
ENVIRONMENT = ("device", "flatqat", "python", "threads")


def upgrade(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of a record of schema 1 as schema 2 has it."""
    if data.get("status") in ("failed", "skipped"):  # these had every field, without content
        data = {name: value for name, value in data.items() if value != {}}
    cell = _renamed(data.get("cell"), CELL)
    parts = {
        "cell": cell,
        "protocol": _protocol(data.get("protocol"), cell),
        "flatness": _renamed(data.get("flatness"), SPACES, _space),
        "env": _environment(data.get("env")),
    }
    return {**data, **{name: part for name, part in parts.items() if name in data}}


def upgrade_shifts(shifts: Any) -> Any:
    """Return what a record or a baseline of schema 1 says of each shift as schema 2 has it."""
    return _renamed(shifts, {}, lambda shift: _renamed(shift, SHIFT))


def _protocol(data: Any, cell: Any) -> Any:
    protocol = _renamed(data, PROTOCOL)
    if not isinstance(protocol, dict):
        return protocol
    if "shifts" in protocol:
        protocol["shifts"] = upgrade_shifts(protocol["shifts"])
    quant = protocol.get("quant")
    if isinstance(quant, dict) and isinstance(quant.get("layer_bits"), dict):  # which had lost its order
        text = cell.get("layer_bits") if isinstance(cell, dict) else None
        pairs = [list(part.rpartition("=")[::2]) for part in text.split(",")] if isinstance(text, str) else []
        if dict(pairs) == quant["layer_bits"]:
            protocol["quant"] = {**quant, "layer_bits": pairs}
    return protocol


def _space(data: Any) -> Any:
    measured = _renamed(data, MEASURES)
    if isinstance(measured, dict):
        top = measured.get("lambda_max")
        if isinstance(top, dict):  # the residual says the same
            measured["lambda_max"] = {name: value for name, value in top.items() if name != "converged"}
        for measure in (measured, measured.get("step_size_noise")):
            if isinstance(measure, dict) and measure.get("space") in list(SPACES):
                measure["space"] = SPACES[measure["space"]]
    return measured


def _environment(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    packages = {name: version for name, version in data.items() if name not in ENVIRONMENT}
    return {name: data[name] for name in ENVIRONMENT if name in data} | {"packages": packages}


def _renamed(data: Any, names: Mapping[str, str], change: Any = lambda value: value) -> Any:
    """Return an object with its fields renamed and its values changed, anything else as it is."""
    if not isinstance(data, Mapping):
        return data
    return {names.get(name, name): change(value) for name, value in data.items()}
