"""Domain generalization sets: the splits of DomainBed, the order of ImageFolder, usual names on disk."""

import shutil
from pathlib import Path

import pytest
import torch
from torchvision.datasets import ImageFolder

from flatqat import registry
from flatqat.data.domains.load import load, seed_hash, split
from flatqat.data.domains.sets import DomainSet, find
from flatqat.data.domains.sets import read as read_set
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_files import read
from flatqat.spec import EvalTransform
from tests.helpers import domain_files

SETS = {
    "pacs": "PACS",
    "vlcs": "VLCS",
    "officehome": "office_home",
    "terraincognita": "terra_incognita",
    "domainnet": "domain_net",
}


def known(name: str) -> DomainSet:
    found: DomainSet = registry.load(registry.SUITES, name).member.keywords["dataset"]
    return found


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All but DomainNet."""
    folder = tmp_path_factory.mktemp("domains")
    for name in ("PACS", "VLCS", "office_home", "terra_incognita"):
        domain_files.write(folder, name)
    return folder


# What `split_dataset(range(n), int(0.2 * n), seed_hash(trial_seed, env_i))` of DomainBed (b93c22a,
# domainbed/lib/misc.py) returns for PACS: number of images, the first of the out-split, of the in-split.
DOMAINBED = {
    (0, 0): (2048, [548, 677, 1997, 977, 1553], [895, 510, 1575, 933, 362]),
    (1, 0): (2048, [1394, 1699, 1095, 19, 1757], [401, 946, 492, 1496, 745]),
    (2, 0): (2048, [388, 1649, 941, 375, 1008], [747, 1785, 1460, 1947, 392]),
    (0, 1): (2344, [1488, 562, 461, 570, 2092], [1129, 1175, 567, 1786, 1706]),
    (1, 2): (1670, [1114, 1350, 1111, 1182, 826], [740, 1079, 1269, 382, 1321]),
    (2, 3): (3929, [3714, 1165, 1672, 1675, 3541], [3495, 3059, 1562, 2083, 744]),
}


@pytest.mark.parametrize(("seed", "number"), DOMAINBED)
def test_splits_are_those_of_domainbed(seed: int, number: int) -> None:
    n, out, in_ = DOMAINBED[seed, number]
    got = split(n, seed, number)
    assert got["out"][:5].tolist() == out
    assert got["in"][:5].tolist() == in_
    assert len(got["out"]) == n // 5
    assert sorted([*got["out"], *got["in"]]) == list(range(n))


def test_seeds_are_those_of_domainbed() -> None:
    assert [seed_hash(0, 0), seed_hash(0, 1), seed_hash(1, 0), seed_hash(2, 3)] == [
        894182419, 1514274641, 785910682, 1709828778,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["pacs", "vlcs", "officehome", "terraincognita"])
def test_images_and_labels_are_in_the_order_of_imagefolder(root: Path, name: str) -> None:
    """Domains in the order of their sorted folders, which is what DomainBed numbers them by."""
    folders = sorted(path for path in (root / SETS[name]).iterdir())
    for domain, folder in zip(read_set(root, known(name)), folders, strict=True):
        assert domain.files() == ImageFolder(str(folder)).samples


@pytest.mark.parametrize("seed", [0, 1])
def test_parts_of_domains_are_put_together(root: Path, seed: int) -> None:
    sources = ("art_painting", "photo", "sketch")
    data = load(root, known("pacs"), domains=sources, part="in", seed=seed)
    rest = load(root, known("pacs"), domains=sources, part="out", seed=seed)
    cartoon = load(root, known("pacs"), domains=("cartoon",), part="in", seed=seed)
    assert data.groups is not None
    assert rest.groups is not None
    assert data.groups.unique().tolist() == rest.groups.unique().tolist() == [0, 2, 3]
    every = [ImageFolder(str(root / "PACS" / one)).samples for one in domain_files.DOMAINS["PACS"]]
    sizes = [len(samples) for samples in every]
    assert sizes == [21, 28, 21, 28]
    whole = [sample for samples in every for sample in samples]
    shown = [whole[at] for at in [*data.ids, *rest.ids]]
    assert sorted(shown) == sorted(every[0] + every[2] + every[3])
    assert not set(cartoon.ids.tolist()) & {*data.ids.tolist(), *rest.ids.tolist()}
    assert [len(rest), len(data)] == [4 + 4 + 5, 17 + 17 + 23]
    for at in (0, 20, 56):
        path, label = whole[data.ids[at]]
        assert label == data.labels[at]
        frame = EvalTransform(resize=16, crop=16, squash=True)
        pixels = torch.from_numpy(read(Path(path), eval_crop(frame)).copy()).permute(2, 0, 1)
        assert torch.equal(data.transformed(eval_crop(frame)).fetch(torch.tensor([at]))[0], pixels)


def test_seeds_split_anew(root: Path) -> None:
    first, second = (load(root, known("pacs"), domains=("photo",), part="out", seed=s).ids for s in (0, 1))
    assert len(first) == len(second)
    assert set(first.tolist()) != set(second.tolist())


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("pacs", "PACS", "pacs"),
        ("pacs", "PACS", "PACS/kfold"),
        ("pacs", "PACS", "."),
        ("officehome", "office_home", "OfficeHome"),
        ("officehome", "office_home", "OfficeHomeDataset_10072016"),
        ("officehome", "office_home/Real World", "office_home/Real_World"),
        ("officehome", "office_home/Real World", "office_home/RealWorld"),
        ("terraincognita", "terra_incognita", "TerraIncognita"),
    ],
)
def test_the_usual_names_are_found(root: Path, tmp_path: Path, name: str, before: str, after: str) -> None:
    """And number the domains alike, whatever they are called."""
    shutil.copytree(root / SETS[name], tmp_path / "a" / SETS[name])
    (tmp_path / "a" / before).rename(tmp_path / "b")
    (tmp_path / "a" / after).parent.mkdir(parents=True, exist_ok=True)
    if after == ".":
        shutil.rmtree(tmp_path / "a")
    (tmp_path / "b").rename(tmp_path / "a" / after)
    there = tmp_path / "a"
    domains = read_set(there, known(name))
    assert [domain.name for domain in domains] == list(known(name).targets)
    assert [len(domain) for domain in domains] == [len(domain) for domain in read_set(root, known(name))]
    assert find(there, known(name)) in (domains[0].folder.parent, there)


def test_hidden_files_and_folders_are_no_images_and_no_classes(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "PACS", tmp_path / "PACS")
    (tmp_path / "PACS" / "photo" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "PACS" / "photo" / "dog" / "._pic_000.jpg").write_bytes(b"")
    (tmp_path / "PACS" / "photo" / "dog" / "Thumbs.db").write_bytes(b"")
    assert [len(d) for d in read_set(tmp_path, known("pacs"))] == [21, 28, 21, 28]


def test_published_numbers_add_up() -> None:
    totals = {name: sum(count for _, count in known(name).domains) for name in SETS}
    assert totals == {
        "pacs": 9_991,
        "vlcs": 10_729,
        "officehome": 15_588,
        "terraincognita": 24_330,
        "domainnet": 586_575,
    }
