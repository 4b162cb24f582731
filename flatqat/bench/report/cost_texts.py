"""What networks cost, as columns that people read."""

from collections.abc import Mapping
from typing import Any

from flatqat.bench.report.cost_columns import size_bytes
from flatqat.bench.report.shown import number

GIGA, MEGA = 1e9, 1e6
GBOPS, SIZE, ACTS = "GBOPs", "size MB", "acts MB"
PACKED = "weights packed at their bits, all other parameters in float32."
DEFINITIONS = {
    GBOPS: "GBOPs: 10^9 bit operations an image, MACs times the bits of weight and activation.",
    SIZE: f"size: {PACKED}",
    ACTS: "acts: the largest input and output of a layer together, at their bits.",
}
DISPENSABLE = ((ACTS,), (GBOPS, SIZE))


def cost_texts(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return the columns of a row of `cost_columns`, `-` where the cost is not known."""
    values = {
        GBOPS: (row["bops"], GIGA),
        SIZE: (size_bytes(row), MEGA),
        ACTS: (row["activation_bytes"], MEGA),
    }
    return {name: number(value and value / unit, ".3g") for name, (value, unit) in values.items()}
