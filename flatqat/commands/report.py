"""`flatqat bench report`."""

from pathlib import Path
from typing import Annotated

from flatqat.commands.of_results import AllRevisions, Beside, Results
from flatqat.commands.options import Names, option, split


def bench_report(
    results: Results = Path("results"),
    suite: Annotated[str | None, option("NAME", "Report only this suite.")] = None,
    method: Annotated[
        Names, option("NAMES", "Only rows of these methods, such as qat or 'anchor(*0.3)'.")
    ] = None,
    bits: Annotated[Names, option("BITS", "Only rows of these bit widths, and full precision.")] = None,
    form: Annotated[
        str, option("NAME", "Format: table, md, csv, json, latex, study, html or hf.", "--format")
    ] = "table",
    output: Annotated[
        Path | None, option("FILE", "Write to this file instead of the terminal.", "--output", "-o")
    ] = None,
    by: Annotated[str, option("NAME", "One row per method, shift, family, severity or class.")] = "method",
    plot: Annotated[
        str | None,
        option("NAME", "Draw severity, tax, id-ood, flatness or pareto to a .png, .svg or .pdf --output."),
    ] = None,
    columns: Annotated[
        Names, option("NAMES", "Only these columns of tables, such as id,ood,extra_gap.")
    ] = None,
    against: Annotated[
        str | None,
        option("METHOD", "The method that a study or page compares others with.  [default: qat]"),
    ] = None,
    beside: Beside = None,
    all_revisions: AllRevisions = False,
) -> None:
    """Print tables of stored results, or write a study or a page.

    The same results give the same bytes. A study is a Markdown page with a figure: which method wins where,
    compared with one method at the same bits, and whether flatness correlates with OOD accuracy. HTML is one
    file to open in a browser: what low bits cost, plots, and all tables and cells to sort and filter.

    \b
    Examples:
      flatqat bench report
      flatqat bench report --by family --format md --output table.md
      flatqat bench report --method fp,qat,anchor --bits 4
      flatqat bench report --format study --output study.md
      flatqat bench report --format html --output report.html
      flatqat bench report --plot tax --output tax.pdf
      flatqat bench report --with reference
    """
    from flatqat.bench.report.by_method import VIEWS
    from flatqat.bench.report.choice import Choice
    from flatqat.bench.report.render import FORMATS
    from flatqat.commands.execute import report
    from flatqat.commands.report_options import ReportOptions
    from flatqat.errors import choose

    options = ReportOptions(
        results=results,
        format=choose("format", form, FORMATS),
        view=choose("value of --by", by, VIEWS),
        output=output,
        against=against,
        plot=plot,
        columns=split(columns),
        beside=beside,
        choice=Choice(methods=split(method), bits=split(bits)),
        all_revisions=all_revisions,
    )
    report(suite, options)
