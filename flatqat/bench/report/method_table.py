"""The table of methods as texts: one error behind every ±, and a mark for what changes its meaning."""

from collections.abc import Mapping, Sequence
from typing import Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import POOLED, Section, key_of, row_label
from flatqat.bench.report import cost_texts
from flatqat.bench.report.deployed import percentage
from flatqat.bench.report.marks import (
    FLOATING,
    INTERVAL,
    NO_OUTCOMES,
    ONE_SEED,
    ONE_SEED_NOTE,
    THESE_RUNS,
    floating_note,
    floating_text,
    no_outcomes_note,
)
from flatqat.bench.report.shown import Shown, is_unknown, no_scatter_note, number, with_error
from flatqat.console.printable import printable
from flatqat.console.rounded import with_interval
from flatqat.spec import RESIDUAL_TOLERANCE
from flatqat.spec.reading import Args

Row = Mapping[Any, Any]
EXTRA_GAP = "extra gap [95%]"
EXTRA_GAP_OF_RUNS = "extra gap\n[95%, these runs]"
ALWAYS = ("method", "bits", "domain", "seeds", "ID", "OOD")
DISPENSABLE = (
    *cost_texts.DISPENSABLE,
    ("NLL", "ECE"),
    ("λmax", "sharp"),
    ("pooled", "gap"),
    ("seeds",),
    ("val",),
    ("deployed", "agree"),
)
ON_REQUEST = ("Brier", "AUROC", "latency")
VAL = "val"
SCORES = ("ID", "OOD", "pooled")
COLLAPSED_NOTE = (
    "collapsed: ID has lost more than a quarter of what full precision has above chance; what such a method "
    "loses under shift says nothing."
)
METRICS = {
    "top1": "ID, OOD: top-1 in percent, OOD the mean over shifts.",
    "miou": "ID, OOD: mIoU in percent, each of the confusion matrix of a whole shift, OOD the mean of "
    "conditions.",
}
DEFINITIONS = {
    VAL: "val: as ID, on the validation images, which alone may choose a setting.",
    "pooled": "pooled: mIoU of the confusion matrix of all conditions together.",
    "gap": "gap: ID - OOD.",
    EXTRA_GAP: "extra gap: by how much the gap exceeds that of full precision, with its 95% interval.",
    "deployed": "deployed: OOD of the exported file in a runtime, with its graph optimized.",
    "agree": "agree: percentage of predictions on all sets that are those of the cell, rounded down.",
    "latency": "latency: of one image through the exported file, median in ms.",
    "NLL": "NLL, ECE: means over shifts.",
    "Brier": "Brier: mean over shifts, 0 is perfect and 2 the worst.",
    "AUROC": "AUROC: of telling shifted images from ID by confidence, in percent, mean over shifts; 50 is "
    "chance.",
    "λmax": "λmax: top Hessian eigenvalue at the deployed weights (*: not converged).",
    "sharp": "sharp: mean rise of the loss when every filter moves by 10% of its norm.",
    **cost_texts.DEFINITIONS,
}


def of_methods(section: Section, rows: Sequence[Row]) -> Shown:
    """Return the table of methods; columns and notes without any value are left out."""
    metric = metric_of(section.first)
    these_runs = all(row["seeds"] == 1 for row in rows)
    texts = [_texts(row, metric.name, one_seed="" if these_runs else ONE_SEED) for row in rows]
    if these_runs:
        texts = [{name: text for name, text in row.items() if name != "seeds"} for row in texts]
    names = [n for n in texts[0] if n in ALWAYS or any(row[n] != "-" for row in texts)]
    header_of = {n: EXTRA_GAP_OF_RUNS if n == EXTRA_GAP and these_runs else n for n in names}
    header = list(header_of.values())
    has_errors = any("±" in row[name] for row in texts for name in names)
    labels = sum(name in ("method", "bits", "domain") for name in names)
    return Shown(
        header=header,
        rows=[[row[name] for name in names] for row in texts],
        labels=labels,
        repeated=labels,
        groups=header,
        dispensable=DISPENSABLE,
        on_request=ON_REQUEST if _is_swept(section) else (VAL, *ON_REQUEST),
        notes=[
            *([THESE_RUNS if these_runs else INTERVAL] if has_errors else []),
            *_notes(section, rows, texts),
        ],
        notes_of={header_of[n]: text for n, text in _notes_of(section, rows).items() if n in header_of},
        definitions={
            "ID": METRICS[metric.name],
            **{header_of[n]: DEFINITIONS[n] for n in names if n in DEFINITIONS},
        },
    )


def _is_swept(section: Section) -> bool:
    """Whether there is a choice to make: a method has several settings at the same bits."""
    settings: dict[tuple[str, str], set[Args]] = {}
    for records in section.rows.values():
        cell = records[0].cell
        settings.setdefault((cell.method, cell.bits), set()).add(cell.method_args)
    return any(len(several) > 1 for several in settings.values())


def _texts(row: Row, metric: str, one_seed: str) -> dict[str, str]:
    """Return the texts of a row; what comes from a single training run has the mark `one_seed`."""
    marks = one_seed if row["seeds"] == 1 else ""
    marks += FLOATING if _floating(row) else ""
    marks += NO_OUTCOMES if _lacks_outcomes(row) else ""
    pooled, oracle = f"pooled_{metric}", f"oracle_{metric}"
    return {
        "method": f"{printable(row['method'])} {marks}".rstrip(),
        "bits": printable(row["bits"]),
        **({"domain": printable(row["domain"])} if "domain" in row else {}),
        "seeds": str(row["seeds"]),
        VAL: number(row[f"val_{metric}"], ".1f"),
        "ID": with_error(row, f"id_{metric}"),
        "OOD": with_error(row, f"ood_{metric}"),
        **({"pooled": with_error(row, pooled)} if pooled in row else {}),
        "gap": number(row["gap"], ".1f"),
        **({"oracle": number(row[oracle], ".1f")} if oracle in row else {}),
        EXTRA_GAP: _extra_gap(row, "" if row["seeds"] == 1 else one_seed),
        **_robustness(row),
        "deployed": number(row.get(f"deployed_ood_{metric}"), ".1f"),
        "agree": _agreement(row),
        "latency": number(row.get("deployed_latency_ms"), ".3g"),
        "NLL": number(row["ood_nll"], ".2f"),
        "ECE": number(row["ood_ece"], ".1f"),
        "Brier": number(row["ood_brier"], ".3f"),
        "AUROC": number(row["ood_auroc"], ".1f"),
        "λmax": number(row["lambda_max"], ".3g") + _flag(row),
        "sharp": number(row["sharpness"], ".2g"),
        **cost_texts.cost_texts(row),
    }


def _robustness(row: Row) -> dict[str, str]:
    """Return the columns of `robustness_columns`, if the suite has them."""
    shown = {}
    if "mce" in row:
        half = number(row["mce_half_width"], ".1f")
        shown["mCE"] = number(row["mce"], ".1f") + ("" if half == "-" else f" ±{half}")
        shown["rel. mCE"] = number(row["relative_mce"], ".1f")
    if "effective_robustness" in row:
        shown["eff. rob."] = number(row["effective_robustness"], "+.1f")
    return shown


def _extra_gap(row: Row, one_seed: str) -> str:
    if row["collapsed"]:
        return "collapsed"
    low, high = row["extra_gap_low"], row["extra_gap_high"]
    if is_unknown(row["extra_gap"]) or is_unknown(low):
        return number(row["extra_gap"], "+.1f")
    mark = one_seed if row["extra_gap_seeds"] == 1 else ""
    return f"{with_interval(row['extra_gap'], low, high)} {mark}".rstrip()


def _agreement(row: Row) -> str:
    share = row.get("deployed_agreement")
    return "-" if share is None or is_unknown(share) else percentage(share)


def _flag(row: Row) -> str:
    """Return a star if the eigenvalue is known and did not converge to the tolerance."""
    known = not is_unknown(row["lambda_max"]) and not is_unknown(row["lambda_max_residual"])
    return "*" if known and row["lambda_max_residual"] > RESIDUAL_TOLERANCE else ""


def _notes(section: Section, rows: Sequence[Row], texts: Sequence[Mapping[str, str]]) -> list[str]:
    marked = any(ONE_SEED in text[name] for text in texts for name in ("method", EXTRA_GAP))
    notes = [ONE_SEED_NOTE] if marked else []
    notes += floating_note({_method(row): _floating(row) for row in rows if _floating(row)})
    notes += no_scatter_note(section, [[text.get(name, "-") for name in SCORES] for text in texts])
    return notes + no_outcomes_note(_method(row, "domain") for row in rows if _lacks_outcomes(row))


def _notes_of(section: Section, rows: Sequence[Row]) -> dict[str, str]:
    """Return by column what to know of some rows."""
    notes = {
        EXTRA_GAP: _extra_gap_note(section, rows),
        "deployed": _files_note(rows),
        "λmax": _flatness_note(rows),
    }
    return {name: text for name, text in notes.items() if text}


def _extra_gap_note(section: Section, rows: Sequence[Row]) -> str:
    """Return what to know of extra gaps: what collapsed means, and what their errors are pooled over."""
    has_errors = any(not row["collapsed"] and not is_unknown(row["extra_gap"]) for row in rows)
    notes = [COLLAPSED_NOTE] if any(row["collapsed"] for row in rows) else []
    notes += [f"extra gap: {POOLED}."] if has_errors and section.pools_fewer else []
    return " ".join(notes)


def _files_note(rows: Sequence[Row]) -> str:
    """Return the note on files that fewer images or seeds were verified on than the row is of, if any."""
    parts = []
    for row in rows:
        seeds, images = row.get("deployed_seeds"), row.get("deployed_images")
        less = [f"{seeds:.0f} of {row['seeds']} seeds"] if seeds and seeds < row["seeds"] else []
        less += [f"{images:.0f} of {row['images']} images a set"] if images and images < row["images"] else []
        parts += [f"{_method(row, 'domain')} on {', '.join(less)}"] if less else []
    change = "deployed is then OOD plus the change on those"
    return f"Files were verified in part: {'; '.join(parts)}; {change}." if parts else ""


def _flatness_note(rows: Sequence[Row]) -> str:
    """Return the note on rows whose flatness is not known of all seeds, and so not shown, if any."""
    parts = [
        f"{_method(row, 'domain')} ({row['flatness_seeds']} of {row['seeds']})"
        for row in rows
        if 0 < row["flatness_seeds"] < row["seeds"]
    ]
    return f"λmax, sharp: not shown where some seeds lack them: {', '.join(parts)}." if parts else ""


def _lacks_outcomes(row: Row) -> bool:
    return bool(row["seeds_with_outcomes"] < row["seeds"])


def _floating(row: Row) -> str:
    return floating_text(row["floating_weights"], row["floating_layers"])


def _method(row: Row, domain: str = "") -> str:
    name = row_label(key_of(row))
    return printable(f"{name} ({row[domain]})" if domain in row else name)
