"""Faults planted in domain generalization sets, each found and named with its cause."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flatqat import registry
from flatqat.data.domains.load import load
from flatqat.data.domains.sets import DomainSet, read
from flatqat.data.domains.verify import verify
from flatqat.errors import DataError
from flatqat.finding import Finding
from tests.helpers import domain_files

PACS: DomainSet = registry.load(registry.SUITES, "pacs").member.keywords["dataset"]
OFFICE: DomainSet = registry.load(registry.SUITES, "officehome").member.keywords["dataset"]
COUNTS = (("art_painting", 21), ("cartoon", 28), ("photo", 21), ("sketch", 28))
SMALL = replace(PACS, domains=COUNTS)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    domain_files.write(folder, "PACS")
    domain_files.write(folder, "office_home", images=1)
    return folder


@pytest.fixture
def root(clean: Path, tmp_path: Path) -> Path:
    """PACS, to be spoiled."""
    shutil.copytree(clean / "PACS", tmp_path / "PACS")
    return tmp_path


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.ok]


def test_a_whole_set_is_right(root: Path) -> None:
    findings = verify(root, SMALL)
    assert not wrong(findings)
    assert "98 of 98 files opened" in findings[-1].what


def numbered(root: Path, first: int) -> None:
    for domain in (root / "PACS").iterdir():
        for label, one in enumerate(domain_files.CLASSES["PACS"]):
            (domain / one).rename(domain / str(first + label))


def one_class_more(root: Path) -> None:
    shutil.copytree(root / "PACS/photo/dog", root / "PACS/photo/cat")


def a_level_too_many_in_a_class(root: Path) -> None:
    (root / "PACS/photo/dog").rename(root / "train")
    (root / "PACS/photo/dog").mkdir()
    (root / "train").rename(root / "PACS/photo/dog/train")


def a_level_too_many_in_a_domain(root: Path) -> None:
    (root / "PACS/photo").rename(root / "images")
    (root / "PACS/photo").mkdir()
    (root / "images").rename(root / "PACS/photo/images")


def no_classes(root: Path) -> None:
    for one in domain_files.CLASSES["PACS"]:
        for path in (root / "PACS/photo" / one).iterdir():
            path.rename(root / "PACS/photo" / f"{one}_{path.name}")
        (root / "PACS/photo" / one).rmdir()


def no_domains(root: Path) -> None:
    (root / "PACS/photo").rename(root / "photo")
    shutil.rmtree(root / "PACS")
    (root / "photo").rename(root / "PACS")


def emptied(root: Path) -> None:
    for path in (root / "PACS/photo/dog").iterdir():
        path.unlink()


def a_domain_twice(root: Path) -> None:
    shutil.copytree(root / "PACS/art_painting", root / "PACS/Art Painting")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no set": (lambda root: shutil.rmtree(root / "PACS"), "expected a folder PACS with art_painting"),
    "no domain": (lambda root: shutil.rmtree(root / "PACS/photo"), "expected the domain photo, got art_"),
    "no class": (
        lambda root: shutil.rmtree(root / "PACS/photo/dog"),
        "extra: none, missing: dog",
    ),
    "a class more": (one_class_more, "got extra: cat, missing: none"),
    "labels from 1 as folders": (lambda root: numbered(root, 1), "numbers 1 to 7, labels that start at 1"),
    "labels from 0 as folders": (lambda root: numbered(root, 0), "numbers 0 to 6"),
    "a level too many, images": (a_level_too_many_in_a_class, "the folders train, one level too many"),
    "a level too many, classes": (a_level_too_many_in_a_domain, "got only images.*one level too many"),
    "a level too few, classes": (no_classes, "7 class folders, got images without any"),
    "a level too few, domains": (no_domains, "expected a folder PACS with .* got dog/"),
    "a domain twice": (
        a_domain_twice,
        "expected one folder of the domain art_painting, got Art Painting, art_",
    ),
    "no images": (emptied, "photo/dog: expected images, got none"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_layout_is_told_with_its_cause_and_never_loaded(root: Path, fault: str) -> None:
    spoil, cause = FAULTS[fault]
    spoil(root)
    found = wrong(verify(root, SMALL))
    assert found
    assert found[0].is_fatal
    assert found[0].fix
    assert_cause(found[0], cause)
    with pytest.raises(DataError, match=cause):
        read(root, SMALL)


def assert_cause(finding: Finding, cause: str) -> None:
    assert re.search(cause, finding.what), f"expected a match of {cause!r}, got {finding.what!r}"


def test_labels_off_by_one_are_named_as_the_consequence(root: Path) -> None:
    one_class_more(root)
    (finding,) = wrong(verify(root, SMALL))
    assert "off by one" in finding.fix


def test_a_class_that_one_domain_lacks_is_named_without_a_list_of_them(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean / "office_home", tmp_path / "office_home")
    shutil.rmtree(tmp_path / "office_home/Product/Thing_7")
    (finding,) = wrong(verify(tmp_path, OFFICE))
    assert finding.is_fatal
    assert "Product" in finding.what
    assert "missing: Thing_7" in finding.what


def test_too_few_classes_in_all_domains_are_counted(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean / "office_home", tmp_path / "office_home")
    for domain in (tmp_path / "office_home").iterdir():
        shutil.rmtree(domain / "Thing_7")
    (finding,) = wrong(verify(tmp_path, OFFICE))
    assert finding.is_fatal
    assert "expected 65 class folders in every domain, got 64" in finding.what


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 cut off", b"<html>404</html>"], ids=len)
def test_files_that_are_no_images_are_named(root: Path, content: bytes) -> None:
    path = root / "PACS/sketch/person/pic_001.jpg"
    path.write_bytes(content)
    (finding,) = wrong(verify(root, SMALL))
    assert finding.is_fatal
    assert str(path) in finding.what


def test_a_file_that_lacks_its_second_half_is_named(root: Path) -> None:
    path = root / "PACS/cartoon/horse/pic_000.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (finding,) = wrong(verify(root, SMALL))
    assert str(path) in finding.what
    parts = [load(root, SMALL, domains=("cartoon",), part=part, seed=0) for part in ("in", "out")]
    with pytest.raises(DataError, match=r"horse/pic_000\.jpg: expected an image"):
        [list(part.batches(8)) for part in parts]


def test_an_image_with_bytes_after_its_end_is_whole(root: Path) -> None:
    path = root / "PACS/cartoon/horse/pic_000.jpg"
    path.write_bytes(path.read_bytes() + bytes(100))
    assert not wrong(verify(root, SMALL))


def test_other_numbers_than_the_published_ones_are_told_and_used(root: Path) -> None:
    counts = (("art_painting", 20), ("cartoon", 28), ("photo", 22), ("sketch", 28))
    surplus = replace(SMALL, domains=counts, surplus="duplicates")
    more, fewer = wrong(verify(root, surplus))
    assert more.partial
    assert more.what == "art_painting: expected 20 images, got 21: duplicates"
    assert fewer.partial
    assert fewer.what == "photo: expected 22 images, got 21"
    assert not wrong(verify(root, replace(surplus, totals=(98,))))


def kfold(root: Path, first: int = 1) -> Path:
    """PACS as it is delivered."""
    (root / "PACS").rename(root / "kfold")
    (root / "PACS").mkdir()
    (root / "kfold").rename(root / "PACS/kfold")
    domain_files.write_label_files(root / "PACS", first=first)
    return root / "PACS"


@pytest.mark.parametrize(
    ("first", "said"), [(1, "labels start at 1"), (0, "labels 0 to 6, those of the folders")]
)
def test_label_files_from_0_or_from_1_are_told(root: Path, first: int, said: str) -> None:
    kfold(root, first)
    findings = verify(root, SMALL)
    assert not wrong(findings)
    assert findings[-1].what.startswith(f"12 label files: {said}")
    labels = load(root, SMALL, domains=SMALL.targets, part="in", seed=0).labels
    assert (int(labels.min()), int(labels.max())) == (0, 6)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("photo/dog/pic_000.jpg 0", r"got some that are off by 0, 1"),
        ("photo/dog/pic_000.jpg 8", r"got some that are off by 1, 8"),
        ("photo/cat/pic_000.jpg 1", r"line 22: expected domain/class/image and a label"),
        ("photo/dog/pic_000.jpg", r"line 22: expected domain/class/image and a label"),
    ],
)
def test_label_files_that_contradict_the_folders_are_wrong(root: Path, line: str, cause: str) -> None:
    file = kfold(root) / "photo_train_kfold.txt"
    file.write_text(file.read_text() + line + "\n")
    (finding,) = wrong(verify(root, SMALL))
    assert finding.is_fatal
    assert_cause(finding, cause)
    assert "photo_train_kfold.txt" in finding.what


def test_no_folder_and_a_wrong_one(tmp_path: Path) -> None:
    assert "no folder was given" in verify(None, PACS)[0].what
    assert "a folder with PACS, got none" in verify(tmp_path / "nowhere", PACS)[0].what
