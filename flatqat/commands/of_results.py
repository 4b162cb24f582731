"""Options that several commands share: where results and images are, and on what they are computed."""

from pathlib import Path
from typing import Annotated

from flatqat import registry
from flatqat.commands.arguments import input_file
from flatqat.commands.completion import cells, names_of
from flatqat.commands.options import Names, argument, flag, option

Results = Annotated[Path, option("DIR", "Folder of records, predictions and weights.")]
DataRoot = Annotated[Path | None, option("DIR", "Folder of the datasets.", envvar="FLATQAT_DATA_ROOT")]
Device = Annotated[str, option("NAME", "Device: auto, cpu, cuda or cuda:INDEX.")]
Threads = Annotated[int, option("N", "CPU threads; more than 1 helps only on an idle machine.", min=1)]
Jobs = Annotated[str, option("N", "Processes that share the work: a number, or auto for as many as pay off.")]
PerDevice = Annotated[
    int | None,
    option("N", "Processes on each of --devices, or on each GPU of --ray.  [default: 1]", min=1, max=64),
]
Workers = Annotated[int, option("N", "Image-decoding threads; 0 decodes in the main thread.", min=0, max=256)]
Limit = Annotated[
    int | None, option("N", "Score at most N images of each set, ID among them.  [default: all]", min=2)
]
Plugin = Annotated[
    list[Path] | None,
    option("FILE", "Python file that exports a plugin; may be repeated.", callback=input_file),
]
Beside = Annotated[
    Path | None,
    option(
        "FILE", "Compare with a baseline, too, or with flatqat's own results: the word reference.", "--with"
    ),
]
OwnModel = Annotated[
    Names,
    option("NAME", "The Python file that defines the cell's network, as file:nets.py:make, if there is one."),
]
SuiteName = Annotated[
    str,
    argument("NAME", "Name of a suite: see `flatqat suites list`.", autocompletion=names_of(registry.SUITES)),
]
AllRevisions = Annotated[
    bool, flag("--all-revisions", "Show older revisions of edited plugins, too, each in a row of its own.")
]
CellName = Annotated[
    str,
    argument("CELL", "How a stored cell's id or label begins, such as tiny-qat-4-s0.", autocompletion=cells),
]
