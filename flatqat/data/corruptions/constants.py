"""The constants of each severity: of ImageNet-C (224 pixels), of CIFAR-10-C (32), and for enlarged digits.

Their values are in `constants.toml`. Lengths are in pixels, amplitudes in units of the full range [0, 1]
unless the operator's docstring says otherwise. Each operator's docstring names its constants in this order.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from flatqat.data.corruptions.names import Table

Constants = tuple[float, ...]

_SIDES: dict[Table, int] = {
    "cifar": 32,
    "digits": 32,
    "imagenet": 244,  # not 224: as in the original code
}  # unit of `elastic_transform` in pixels


def _read(table: Table) -> Iterator[tuple[str, tuple[Constants, ...]]]:
    stored = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    for name, severities in stored[table].items():
        unit = _SIDES[table] if name == "elastic_transform" else 1
        yield name, tuple(tuple(unit * value for value in constants) for constants in severities)


#: CONSTANTS[table][corruption][severity - 1]
CONSTANTS: dict[Table, dict[str, tuple[Constants, ...]]] = {table: dict(_read(table)) for table in _SIDES}
