"""`flatqat cost`: what stored cells cost to run, by layer."""

from pathlib import Path
from typing import Annotated

from flatqat.commands.of_results import DataRoot, OwnModel, Plugin, Results
from flatqat.commands.options import add_plugins, option, split
from flatqat.commands.results import NamedPatterns


def cost(
    cells: NamedPatterns,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    form: Annotated[str, option("NAME", "Format: table or json.", "--format")] = "table",
    model: OwnModel = None,
    plugin: Plugin = None,
) -> None:
    """Show what stored cells cost for one image, by layer.

    Counts MACs, bit operations and bytes from shapes and bits. It needs no weights, and data only for the
    size of images. A record that lacks its cost, as older ones do, gets it, for the tables and pictures
    of `bench report`. Nothing else of it changes.

    \b
    Examples:
      flatqat cost tiny-qat-4-s0
      flatqat cost '*' --results runs
      flatqat cost tiny-qat-4-s0 --format json
    """
    from flatqat.commands.cell_cost import show_costs

    add_plugins(plugin)
    show_costs(cells, results, data_root, form, split(model))
