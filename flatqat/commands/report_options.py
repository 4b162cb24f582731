"""The options of `flatqat bench report`, and which of them go together."""

from dataclasses import dataclass
from pathlib import Path

from flatqat.bench.gate.reference import Pack, read_pack
from flatqat.bench.report.by_method import View
from flatqat.bench.report.choice import Choice
from flatqat.bench.report.render import ALL, FORMATS, WHOLE, Format
from flatqat.commands.written import check_output
from flatqat.errors import UsageError

COMPARED_WITH = "qat"
COMPARING = ("study", "html")
VIEWS_OF = {
    "study": "a study has tables of its own",
    "html": "the page has every view",
    "hf": "this format always has ID and OOD",
}
BESIDE = tuple(form for form in FORMATS if form not in WHOLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What a report shows and where it goes, as the options of the command have it.

    Making one raises UsageError on options that exclude each other and on an output that cannot be written.

    Attributes:
        results: The results folder.
        format: The format.
        view: What a row of a table is.
        output: The file to write, None for the terminal.
        against: The method that a study or page compares others with, None for the usual one.
        plot: The name of a picture to draw in place of tables.
        columns: The columns of tables, none for all.
        beside: The file of a pack to set results beside.
        choice: The rows.
        all_revisions: Whether older revisions of the code have rows.
    """

    results: Path
    format: Format = "table"
    view: View = "method"
    output: Path | None = None
    against: str | None = None
    plot: str | None = None
    columns: tuple[str, ...] = ()
    beside: Path | None = None
    choice: Choice = ALL
    all_revisions: bool = False

    @property
    def compared_with(self) -> str:
        """The method that a study or page compares others with."""
        return self.against or COMPARED_WITH

    def pack(self) -> Pack | None:
        """Read the pack to set results beside, if any. Raises StoreError on a damaged one."""
        return None if self.beside is None else read_pack(self.beside)

    def __post_init__(self) -> None:
        view, form = self.view, self.format
        if self.beside is not None:
            self._check_beside()
        if form in VIEWS_OF and view != "method":
            why = VIEWS_OF[form]
            raise UsageError(f"--format {form}: expected no --by, got {view}; leave --by out: {why}")
        if self.against is not None and form not in COMPARING:
            wanted = " or ".join(COMPARING)
            raise UsageError(f"--against: expected --format {wanted} beside it, got {form}; leave it out")
        if self.beside is not None and self.choice.options:
            raise UsageError(f"--with: expected all rows, got {self.choice.options}; leave one of them out")
        check_output("--output", self.output, self.results, [self.beside] if self.beside else [])
        if self.plot is not None and (view, form, self.columns) != ("method", "table", ()):
            given = "expected neither --by, --format nor --columns with a picture"
            raise UsageError(f"--plot {self.plot}: {given}; leave them out")
        if self.columns and form in WHOLE:
            raise UsageError(
                f"--columns: expected a format of tables alone, got --format {form}; leave one out"
            )

    def _check_beside(self) -> None:
        """Raise UsageError where a pack is beside a picture, another view or a format without tables."""
        if self.plot or self.view != "method":
            other = "--plot" if self.plot else "--by"
            raise UsageError(f"--with: expected no {other} beside it, got both; leave one of them out")
        if self.format not in BESIDE:
            raise UsageError(
                f"--with: expected --format {', '.join(BESIDE)}, got {self.format}; choose one of these"
            )
