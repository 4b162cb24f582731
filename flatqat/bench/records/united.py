"""One record out of two of the same cell."""

from dataclasses import replace
from typing import Any

from flatqat.bench.records.deployments import with_deployment
from flatqat.errors import StoreError
from flatqat.spec import Environment, Flatness, Record
from flatqat.spec.record import LATER


def united(known: Record, other: Record, where: str) -> Record:
    """Merge two records of one cell; `where` names the folder of the second in errors.

    A finished record is preferred to one that failed or was skipped, otherwise the one that was run last. Of
    two finished ones the result has the flatness and the optional fields of both; where both have the same
    one, that of the one run last.

    Raises StoreError if both are done with other numbers.
    """
    first, last = sorted((known, other), key=lambda record: (record.status == "done", record.last_run))
    if first.status != "done":
        return last
    hashes = {record.outcomes_sha256 for record in (known, other) if record.outcomes_sha256}
    label = known.cell.label
    if known.scores != other.scores:
        raise StoreError(
            f"cell {label}: expected one set of scores, got others in {where}; it may have been run twice, "
            "on two machines or with two numbers of threads; remove it from one of the folders: flatqat "
            f"results rm {label} --results FOLDER"
        )
    if len(hashes) > 1:
        raise StoreError(
            f"cell {label}: expected one set of outcomes of its images, got others in {where} with the same "
            "scores: that is a compact copy, or it was run twice; leave one of the folders out"
        )
    optional = {name: getattr(last, name) or getattr(first, name) for name in LATER}
    optional |= {"deployed": first.deployed, "elsewhere": first.elsewhere}
    merged = replace(last, flatness=_flatness_seen_from(last.env, first).updated(last.flatness), **optional)
    for deployment in (last.deployed, *last.elsewhere.values()):
        if deployment:
            merged, _ = with_deployment(merged, deployment)
    return merged


def _flatness_seen_from(env: Environment, record: Record) -> Flatness:
    """Return the flatness of a record, whose spaces name where they were measured unless that is `env`."""
    spaces: dict[str, Any] = {}
    for name, space in record.flatness.spaces.items():
        place = space.env or record.env
        spaces[name] = replace(space, env=None if place == env else place)
    return replace(record.flatness, **spaces)
