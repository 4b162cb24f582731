"""Which code may run to rebuild a stored cell: a record may come from a stranger, and names files of code."""

import shlex
from collections.abc import Sequence

from flatqat.bench.plan.own_code import code_hash, own_files
from flatqat.errors import StoreError
from flatqat.models.base import names_of
from flatqat.spec import Cell
from flatqat.suite import Suite


def trusted_model(cell: Cell, suite: Suite, named: Sequence[str] = ()) -> str:
    """Return the model that a stored cell is rebuilt from: its own, or that of `named` which has its code.

    A source that builds from any name, such as `file`, runs the code of a file. It does so only for a model
    that the user named now; and that code, like that of plugins, must be what the cell was made of. Raises
    StoreError, which shows what would have run.
    """
    source, _, code = cell.model.partition(":")
    models = [cell.model]
    if not names_of(source):
        models = [name for name in named if name.partition(":")[0] == source]
        if not models:
            option = f"--model {shlex.quote(cell.model)}"
            problem = f"cell {cell.label}: expected its code to be named before it runs, {code}"
            raise StoreError(f"{problem}; if you trust that file, add {option}")
    quantizer = cell.quant_spec.quantizer
    got: str | None = None
    for model in models:
        if not own_files(suite, model, quantizer):
            return model
        got = code_hash(suite, cell.method, model, quantizer)
        if got == cell.plugins:
            return model
    files = ", ".join(str(file) for file in own_files(suite, models[-1], quantizer, cell.method))
    expected = f"expected the code that it was made of (hash {cell.plugins or 'none'})"
    fix = "name all files of that version with --plugin and --model"
    raise StoreError(f"cell {cell.label}: {expected}, got {files} (hash {got}); {fix}")
