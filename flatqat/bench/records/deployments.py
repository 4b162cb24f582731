"""The exported file that a record keeps, with its fullest verification in each runtime."""

from dataclasses import replace

from flatqat.spec import Deployment, Record


def with_deployment(record: Record, new: Deployment) -> tuple[Record, str]:
    """Return a record with a new outcome, and a sentence for the user if it is not kept.

    The first runtime that a file was verified in has its outcome in `deployed`, which tables show, and others
    in `elsewhere`. Another file replaces all of it. An outcome on fewer images than that of the same file in
    the same runtime replaces nothing.
    """
    main = record.deployed
    if main is None or main.sha256 != new.sha256:
        return replace(record, deployed=new, elsewhere={}), ""
    old = main if main.runtime == new.runtime else record.elsewhere.get(new.runtime)
    if old is not None and _is_fuller(old, new):
        seen = "all images" if old.limit is None else f"{old.limit} images"
        kept = f"not stored: the record keeps what this file did in {new.runtime} on {seen} a set"
        return record, f"{kept}, and this is on {new.limit}"
    if main.runtime == new.runtime:
        return replace(record, deployed=new), ""
    return replace(record, elsewhere={**record.elsewhere, new.runtime: new}), ""


def _is_fuller(old: Deployment, new: Deployment) -> bool:
    return new.limit is not None and (old.limit is None or old.limit > new.limit)
