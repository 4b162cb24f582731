"""`--pretrained`: the source's own file from a cache or the network, and what is said where there is none."""

import hashlib
import importlib.util
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.errors import UsageError, WeightsError
from flatqat.models.base import build
from flatqat.models.download import cached

pytestmark = pytest.mark.filterwarnings("ignore")  # torchvision and timm warn of themselves at import


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub" / "checkpoints"


@pytest.fixture
def offline(monkeypatch):
    """Every way to the network fails at once; returns what was asked for."""
    asked = []

    def fail(*args, **_):
        asked.append(args)
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    for module, name in (("huggingface_hub", "hf_hub_download"), ("gdown", "download")):
        if importlib.util.find_spec(module):
            monkeypatch.setattr(f"{module}.{name}", fail)
    return asked


def published(folder: Path) -> tuple[str, Path]:
    """A file whose name carries its hash, as published ones do, and its URL."""
    folder.mkdir()
    torch.save(nn.Linear(2, 2).state_dict(), folder / "net.pth")
    digest = hashlib.sha256((folder / "net.pth").read_bytes()).hexdigest()
    path = (folder / "net.pth").rename(folder / f"net-{digest[:8]}.pth")
    return path.as_uri(), path


def test_a_file_is_downloaded_once(tmp_path, cache):
    url, original = published(tmp_path / "site")
    path = cached(url)
    assert path == cache / original.name
    assert path.read_bytes() == original.read_bytes()
    original.unlink()
    assert cached(url) == path


def test_a_file_that_is_not_what_its_name_says_is_not_kept(tmp_path, cache, capfd):
    url, original = published(tmp_path / "site")
    original.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="invalid hash value"):
        cached(url)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("torchvision:resnet18", ("https://download.pytorch.org/models/resnet18-", "resnet18-f37072fd.pth")),
        ("timm:resnet50.tv_in1k", ("huggingface.co/timm/resnet50.tv_in1k", "model.safetensors")),
        (
            "robustbench:cifar10/corruptions/Hendrycks2020AugMix_WRN",
            ("https://drive.google.com/uc?id=", "Hendrycks2020AugMix_WRN.pt"),
        ),
    ],
)
def test_without_a_network_the_error_says_what_file_to_get(model, said, cache, offline, tmp_path):
    name = model.partition(":")[0]
    if not importlib.util.find_spec(name):
        pytest.skip(f"{name} is not installed")
    with pytest.raises(WeightsError) as caught:
        registry.load(registry.MODELS, name).pretrained(model.partition(":")[2])
    for part in (*said, "no network", "--weights FILE"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(offline) == 1
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_nothing_is_asked_of_the_network_without_the_option(cache, offline, tmp_path):
    make_plan(request(tmp_path, "torchvision:resnet18", pretrained=False))
    assert offline == []


def test_a_plan_starts_from_the_file(cache, offline, tmp_path):
    cache.mkdir(parents=True)
    file = cache / "resnet18-f37072fd.pth"
    torch.save(build("torchvision:resnet18", classes=10, seed=3).net.state_dict(), file)
    (job,) = make_plan(request(tmp_path, "torchvision:resnet18", pretrained=True)).jobs
    assert job.weights == file
    assert job.cell.weights == hashlib.sha256(file.read_bytes()).hexdigest()


def test_sources_without_weights_say_so(tmp_path):
    with pytest.raises(UsageError, match="no weights of its own; pass --weights FILE"):
        make_plan(request(tmp_path, "tiny", pretrained=True))


def request(folder, model, *, pretrained):
    return Request(
        suites=("digits-c",),
        methods=("fp",),
        bits=("4",),
        seeds=(0,),
        models=(model,),
        results=folder,
        pretrained=pretrained,
    )
