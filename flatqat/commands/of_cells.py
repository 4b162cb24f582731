"""The options of `bench run` that say which cells are run."""

from pathlib import Path
from typing import Annotated

from flatqat import registry
from flatqat.commands.arguments import input_file
from flatqat.commands.completion import names_of
from flatqat.commands.options import Names, option

Suites = Annotated[
    Names,
    option(
        "NAME",
        "Suites: see `suites list`.  [default: digits-c]",
        autocompletion=names_of(registry.SUITES),
    ),
]
Models = Annotated[Names, option("NAME", "Models: see `models list`.  [default: the suite's]")]
Methods = Annotated[
    Names,
    option(
        "NAME",
        "Methods: see `methods list`.  [default: fp,qat,anchor]",
        autocompletion=names_of(registry.METHODS),
    ),
]
BitWidths = Annotated[Names, option("BITS", "Bit widths: 4, w4a8, w4a32@lsq, w32a4 or fp.  [default: 4]")]
Keep = Annotated[
    Names, option("LAYERS", "Layers kept at 8 bits: name patterns, or none.  [default: first,last]")
]
LayerBits = Annotated[Names, option("LAYERS=BITS", "Per-layer bit widths, such as 'layer4.*=w2a4'.")]
Seeds = Annotated[
    str | None,
    option(
        "SEEDS",
        "How many seeds, such as 5, or which, such as 0,1,2. For one seed end with a comma: '7,'.  "
        "[default: 3 where something is trained, else 1]",
    ),
]
RecipeName = Annotated[
    str | None,
    option(
        "NAME",
        "How to train: steps, optimizer, learning rates; see `recipes show`. Where there are no training "
        "images, it is `eval`.  [default: the suite's]",
    ),
]
Settings = Annotated[
    Names,
    option(
        "OWNER.KEY=VALUE",
        "Change a setting: recipe.lr=0.01. Several values run each: anchor.strength=0.1,1.",
        "--set",
    ),
]
Weights = Annotated[
    Path | None,
    option(
        "FILE[#ENTRY]",
        "Start from these weights instead of pretraining; #ENTRY chooses among several in a file.",
        callback=input_file,
    ),
]
