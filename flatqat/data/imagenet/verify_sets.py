"""Are the corrupted and the natural datasets on disk complete and correct? Imports no torch."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from flatqat.data.corruptions.names import SEVERITIES
from flatqat.data.imagenet import corrupted, natural, verify
from flatqat.data.imagenet.file_checks import check_complete, check_decodable
from flatqat.data.imagenet.names import SIDE, VAL, CorruptedSet, NaturalSet
from flatqat.data.images.checks import run_check, run_checks
from flatqat.finding import Finding

CHECKED, DECODED = 600, 4  # images of every corruption at every severity


def verify_corrupted(root: Path | None, dataset: CorruptedSet, optional: str) -> list[Finding]:
    """Check ImageNet itself, then every corruption at every severity: folders, images, classes, pairs, sizes.

    Corruptions of the family `optional` may be missing.
    """
    findings = verify.verify(root)
    if any(finding.is_fatal for finding in findings):
        return findings
    place = run_check(lambda: f"{dataset.title} in {corrupted.find(root, dataset)}")
    if not place.ok:
        return [*findings, place]
    pairs = run_check(partial(_pairs, root, dataset))
    findings = [*findings, place, pairs]
    return findings if pairs.is_fatal else [*findings, *_corruptions(root, dataset, optional)]


def verify_natural(
    root: Path | None, *datasets: NaturalSet, optional: Sequence[NaturalSet] = ()
) -> list[Finding]:
    """Check ImageNet itself, then every dataset; those that are `optional` may be missing."""
    findings = verify.verify(root)
    for image_set in datasets:
        if image_set in optional and natural.is_missing(root, image_set):
            findings.append(_optional(f"{image_set.title} is missing: expected {image_set.layout}"))
            continue
        place = run_check(partial(_natural, root, image_set))
        findings.append(place)
        if place.ok:
            title, images = image_set.title, natural.images(root, image_set)
            among = image_set.class_subset or range(len(image_set.classes))
            findings += [verify.counted(title, images, image_set.count, among, called=image_set.classes)]
            findings += [*verify.doubts(title, images), verify.files(title, images)]
    return findings


def _pairs(root: Path | None, dataset: CorruptedSet) -> Finding:
    images = corrupted.clean_images(root, dataset)
    what = f"{dataset.title}: {len(images):,} clean images have corrupted copies"
    fix = f"fewer than {VAL:,} are scored, both clean and corrupted; complete both copies"
    return Finding(ok=len(images) == VAL, partial=len(images) < VAL, what=what, fix=fix)


def _corruptions(root: Path | None, dataset: CorruptedSet, optional: str) -> list[Finding]:
    """Return a finding for all good corruptions, one for each bad one and one for missing optional ones."""
    missing = corrupted.missing_corruptions(root, dataset, optional)
    present = [name for name in dataset.families if name not in missing]
    checks = [partial(_corruption, root, dataset, name) for name in present]
    each = f"each at {len(SEVERITIES)} severities, {SIDE}x{SIDE} in {CHECKED} files of each"
    absent = [_optional(f"{dataset.title}: no {', '.join(sorted(missing))}")] if missing else []
    return [*run_checks(checks, dataset.title, each), *absent]


def _corruption(root: Path | None, dataset: CorruptedSet, name: str) -> str:
    for severity in SEVERITIES:
        images = corrupted.images(root, dataset, name, severity)
        check_complete(images, most=CHECKED)
        check_decodable(images, most=DECODED, side=SIDE)
    return name


def _natural(root: Path | None, dataset: NaturalSet) -> str:
    return f"{dataset.title} in {natural.images(root, dataset).folder}"


def _optional(what: str) -> Finding:
    fix = "it does not count in the mean, and is left out while it is missing"
    return Finding(ok=False, partial=True, what=what, fix=fix)
