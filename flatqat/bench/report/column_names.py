"""What columns may be called where a user names them: as in a table or as in CSV, in any case."""

import re
from collections.abc import Iterable, Sequence

from flatqat.errors import UsageError, unknown

SAME = {
    **{f"{name}_{metric}": name for name in ("id", "ood", "pooled", "oracle") for metric in ("top1", "miou")},
    **{f"deployed_ood_{metric}": "deployed" for metric in ("top1", "miou")},
    "extra_gap": "extra gap",
    "deployed_agreement": "agree",
    "deployed_latency_ms": "latency",
    "ood_nll": "nll",
    "ood_ece": "ece",
    "ood_brier": "brier",
    "ood_auroc": "auroc",
    "lambda_max": "λmax",
    "sharpness": "sharp",
    "relative_mce": "rel. mce",
    "effective_robustness": "eff. rob.",
    "bops": "gbops",
    "size": "size mb",
    "activation_bytes": "acts mb",
    "acts": "acts mb",
}
"""By a name in CSV, or a shorter one, that of the same column in a table."""
NO_CONFIDENCES = (
    "these records have no confidences, since they are of segmentation or were made before confidences were "
    "kept; flatqat bench run --rerun computes the latter again, with them"
)
LACKING = {
    "deployed": "flatqat export verify measures it",
    "agree": "flatqat export verify measures it",
    "latency": "flatqat export verify --latency measures it",
    "brier": NO_CONFIDENCES,
    "auroc": NO_CONFIDENCES,
}
"""By column of a table of methods that no row may have, why that is and what to do."""


def columns_named(names: Sequence[str], columns: Iterable[str]) -> list[str]:
    """Return those of `columns` that are named, once each; a name may be that of several, as of two metrics.

    Raises UsageError on a name of none of them, with what to do if rows could have it.
    """
    known, found = list(dict.fromkeys(columns)), dict[str, None]()
    for name in names:
        alike = (
            [name]
            if name in known
            else [other for other in known if _meaning(other) == _meaning(name_of(name))]
        )
        if not alike:
            raise _missing(name, known)
        found |= dict.fromkeys(alike)
    return list(found)


def name_of(header: str) -> str:
    """Return the name of a column: `extra gap` of "extra gap [95%]", `ptq 4` of "ptq 4 †"."""
    return " ".join(re.sub(r"\[.*?\]|[^\w\s().=,%-]", " ", header).split())


def typed(header: str) -> str:
    """Return a name of a column that needs neither quotes nor signs that keyboards lack."""
    name = name_of(header)
    short = [other for other, meant in SAME.items() if meant == name.lower()]
    return name if re.fullmatch(r"[\w.-]+", name, re.ASCII) else (short or [name])[-1]


def _missing(name: str, known: Sequence[str]) -> UsageError:
    """Return the error for a column that no table has; tables of methods, which alone have OOD, may yet."""
    advice = LACKING.get(_meaning(name))
    if advice and "ood" in map(_meaning, known):
        return UsageError(f"column {name!r}: expected a row that has it, found none; {advice}")
    return unknown("column", name, known)


def _meaning(name: str) -> str:
    return SAME.get(name.lower(), name.lower())
