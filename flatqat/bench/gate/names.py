"""Short names for cells: what all cells of a check share is said once."""

from collections.abc import Iterable, Sequence

from flatqat.bench.gate.series import Series
from flatqat.spec import Args, Cell

SHOWN_DIGITS = 8


def short_names(compared: Sequence[Series], others: Sequence[Series]) -> tuple[str, dict[int, str]]:
    """Return what the compared series have in common, and the name of each of both by its `id()`."""
    parts = {id(one): _parts(one.cell) for one in [*compared, *others]}
    first, *rest = [parts[id(one)] for one in compared] or [{}]
    shared = {key: text for key, text in first.items() if all(each[key] == text for each in rest)}
    shared.pop("method", None)
    names = {number: _joined(text for key, text in each.items() if shared.get(key) != text)
             for number, each in parts.items()}  # fmt: skip
    return _joined(shared.values()), names


def _parts(cell: Cell) -> dict[str, str]:
    fp = cell.quant == cell.method
    method = f"{cell.method}{_settings(cell.method_args)}" + ("" if fp else f" {cell.bits}")
    steps = f"{cell.step_multiplier}x steps" if cell.step_multiplier > 1 else ""
    return {
        "method": f"{method} {steps}".rstrip(),
        "suite": cell.suite,
        "model": cell.model,
        "recipe": f"recipe {cell.recipe}{_settings(cell.recipe_args)}",
        "limit": f"{cell.limit} images a shift" if cell.limit else "",
        "window": f"window {cell.window}" if cell.window else "",
        "adapt": f"adapted {cell.adapt}" if cell.adapt else "",
        "amp": "bfloat16" if cell.amp else "",
        "weights": f"weights {cell.weights_name(SHOWN_DIGITS)}" if cell.weights else "",
    }


def _joined(texts: Iterable[str]) -> str:
    return " · ".join(filter(None, texts))


def _settings(args: Args) -> str:
    return f"({', '.join(f'{key}={value}' for key, value in args)})" if args else ""
