"""Is a domain generalization dataset complete and correct? Opens many files; imports no torch."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from flatqat.data.domains.sets import Domain, DomainSet, check_same_classes, find, read_domain
from flatqat.data.images.checks import run_check
from flatqat.data.images.data_root import plain
from flatqat.data.images.entries import lines_of
from flatqat.data.images.integrity import is_damaged
from flatqat.errors import DataError, listed
from flatqat.finding import Finding

MOST_OPENED = 30_000  # every file of each dataset but DomainNet, of which every twentieth


def verify(root: Path | None, dataset: DomainSet) -> list[Finding]:
    """Check the folder, its domains and classes, the published numbers of images, and how files end."""
    place = run_check(lambda: f"{dataset.title} in {find(root, dataset)}")
    if not place.ok:
        return [place]
    folder = find(root, dataset)
    domains: list[Domain] = []
    findings = [run_check(partial(_domain, folder, name, dataset, domains)) for name in dataset.targets]
    if bad := [finding for finding in findings if not finding.ok]:
        return [place, *bad]
    classes = run_check(lambda: _classes(domains, dataset))
    if not classes.ok:
        return [place, classes]
    files = run_check(lambda: _open(domains))
    return [place, classes, *_counts(domains, dataset), files, *_label_files(domains, dataset)]


def _domain(folder: Path, name: str, dataset: DomainSet, domains: list[Domain]) -> str:
    domains.append(read_domain(folder, name, dataset))
    return name


def _classes(domains: list[Domain], dataset: DomainSet) -> str:
    check_same_classes(domains, dataset)
    return f"{dataset.classes} classes in each of {len(domains)} domains: {', '.join(dataset.targets)}"


def _counts(domains: list[Domain], dataset: DomainSet) -> Iterator[Finding]:
    """Compare with the published numbers; a copy with others is usable, but its splits differ."""
    total, published = sum(map(len, domains)), [count for _, count in dataset.domains]
    if total in dataset.totals:
        yield Finding(ok=True, what=f"{total:,} images, as other copies have ({sum(published):,} are common)")
        return
    off = [pair for pair in zip(domains, published, strict=True) if len(pair[0]) != pair[1]]
    if not off:
        yield Finding(ok=True, what=f"{total:,} images, the published numbers in every domain")
    for domain, count in off:
        cause = f": {dataset.surplus}" if dataset.surplus and len(domain) > count else ""
        what = f"{domain.name}: expected {count:,} images, got {len(domain):,}{cause}"
        fix = "splits differ from DomainBed's; only compare numbers of this copy with each other"
        yield Finding(ok=False, partial=True, what=what, fix=fix)


def _open(domains: list[Domain]) -> str:
    """Raise DataError if a run could not read a file."""
    paths = [path for domain in domains for path, _ in domain.files()]
    opened = paths[:: -(-len(paths) // MOST_OPENED)]
    if damaged := [path for path in opened if is_damaged(path)]:
        got = (
            f"files that are empty, cut off, no images or of more than 8 bits a channel: {listed(damaged, 3)}"
        )
        raise DataError(f"expected images, got {got}; restore them from their source")
    return f"{len(opened):,} of {len(paths):,} files opened, all complete"


def _label_files(domains: list[Domain], dataset: DomainSet) -> Iterator[Finding]:
    """Check lists of labels beside the images. They are not used: labels come from the folders."""
    if not dataset.label_files:
        return
    top = domains[0].folder.parent
    if plain(top.name) not in map(plain, dataset.folders):
        top = top.parent
    found = (*top.glob(dataset.label_files), *top.glob(f"*/{dataset.label_files}"))
    paths = sorted(path for path in found if not path.name.startswith("."))
    findings = [run_check(partial(_labels, path, domains, dataset)) for path in paths]
    for what, count in sorted(Counter(finding.what for finding in findings if finding.ok).items()):
        yield Finding(ok=True, what=f"{count} label files: {what}")
    yield from (finding for finding in findings if not finding.ok)


def _labels(path: Path, domains: list[Domain], dataset: DomainSet) -> str:
    """Raise DataError if a label is not the number of its class, counted from 0 or from 1."""
    expected = {plain(domain.name): domain.classes for domain in domains}
    offsets = set()
    for number, line in enumerate(lines_of(path), start=1):
        try:
            name, text = line.rsplit(maxsplit=1)
            domain, one, _ = name.split("/")[-3:]
            offsets.add(int(text) - expected[plain(domain)].index(one))
        except (ValueError, KeyError) as error:
            raise DataError(
                f"{path}, line {number}: expected domain/class/image and a label, got {line!r}; "
                "restore the file, or remove it: labels are taken from the folders"
            ) from error
    last = dataset.classes - 1
    if offsets == {0}:
        return f"labels 0 to {last}, those of the folders"
    if offsets == {1}:
        return f"labels start at 1; those used come from the folders, 0 to {last}"
    raise DataError(
        f"{path}: expected labels 0 to {last}, or 1 to {last + 1} as published, in the order of the class "
        f"folders, got some that are off by {', '.join(map(str, sorted(offsets)))}; restore the file, or "
        "remove it: labels are taken from the folders"
    )
