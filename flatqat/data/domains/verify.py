"""Is a domain generalization set on disk whole and right? Opens every file, or many; no torch."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from flatqat.data.domains.sets import (
    Domain,
    DomainSet,
    check_same_classes,
    find,
    plain,
    read_domain,
)
from flatqat.data.images.checks import look
from flatqat.data.images.data_root import data_root
from flatqat.data.images.integrity import is_damaged
from flatqat.errors import DataError
from flatqat.finding import Finding

MOST_OPENED = 30_000  # all of a set except DomainNet, of which every twentieth
SHOWN = 3


def verify(root: Path | None, dataset: DomainSet) -> list[Finding]:
    """The folder, its domains, their classes, the published numbers of images, and every file's end."""
    place = look(lambda: f"data root {data_root(root, dataset.title)}")
    if not place.ok:
        return [place]
    found = look(lambda: f"{dataset.title} in {find(root, dataset)}")
    if not found.ok:
        return [found]
    folder = find(root, dataset)
    whole: list[Domain] = []
    bad = [
        finding
        for name in dataset.targets
        if not (finding := look(partial(_domain, folder, name, dataset, whole))).ok
    ]
    if bad:
        return [found, *bad]
    same = look(partial(_classes, whole, dataset))
    if not same.ok:
        return [found, same]
    return [found, same, *_counts(whole, dataset), look(partial(_open, whole)), *_label_files(whole, dataset)]


def _domain(folder: Path, name: str, dataset: DomainSet, whole: list[Domain]) -> str:
    whole.append(read_domain(folder, name, dataset))
    return name


def _classes(domains: list[Domain], dataset: DomainSet) -> str:
    check_same_classes(domains, dataset)
    return f"{dataset.classes} classes in each of {len(domains)} domains: {', '.join(dataset.targets)}"


def _counts(domains: list[Domain], dataset: DomainSet) -> Iterator[Finding]:
    """Against the published numbers. Other numbers are usable, and give other splits than DomainBed's."""
    total = sum(map(len, domains))
    published = sum(count for _, count in dataset.domains)
    if total in dataset.totals:
        yield Finding(ok=True, what=f"{total:,} images, as other copies have ({published:,} are common)")
        return
    off = [
        (domain, count)
        for domain, (_, count) in zip(domains, dataset.domains, strict=True)
        if len(domain) != count
    ]
    if not off:
        yield Finding(ok=True, what=f"{total:,} images, the published numbers in every domain")
    for domain, count in off:
        cause = f": {dataset.surplus}" if dataset.surplus and len(domain) > count else ""
        yield Finding(
            ok=False,
            partial=True,
            what=f"{domain.name}: expected {count:,} images, got {len(domain):,}{cause}",
            fix="splits differ from DomainBed's; compare with numbers of your own copy alone",
        )


def _open(domains: list[Domain]) -> str:
    """Raise DataError where a file is empty, cut off or no image."""
    paths = [path for domain in domains for path, _ in domain.files()]
    step = -(-len(paths) // MOST_OPENED)
    damaged = list(islice((path for path in paths[::step] if is_damaged(path)), SHOWN + 1))
    if damaged:
        more = " and more" if len(damaged) > SHOWN else ""
        raise DataError(
            f"expected images, got empty, cut off or other files: {', '.join(damaged[:SHOWN])}{more}; "
            "restore them from their source"
        )
    return f"{len(paths[::step]):,} of {len(paths):,} files opened, all whole"


def _label_files(domains: list[Domain], dataset: DomainSet) -> Iterator[Finding]:
    """Lists of labels beside the images, which are not used: labels come from the folders."""
    if not dataset.label_files:
        return
    top = domains[0].folder.parent
    if plain(top.name) not in map(plain, dataset.folders):
        top = top.parent
    paths = sorted([*top.glob(dataset.label_files), *top.glob(f"*/{dataset.label_files}")])
    findings = [look(partial(_labels, path, domains, dataset)) for path in paths]
    for what in sorted({finding.what for finding in findings if finding.ok}):
        yield Finding(
            ok=True, what=f"{sum(finding.what == what for finding in findings)} label files: {what}"
        )
    yield from (finding for finding in findings if not finding.ok)


def _labels(path: Path, domains: list[Domain], dataset: DomainSet) -> str:
    """Raise DataError where a label is not the number of its class, from 0 or from 1."""
    expected = {plain(domain.name): domain.classes for domain in domains}
    offsets = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
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
