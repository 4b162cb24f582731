"""RobustBench's networks: names, what is refused and why, files as its own loader reads them."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat import registry
from flatqat.data.images.views import eval_crop
from flatqat.errors import UsageError, WeightsError
from flatqat.models.base import build, load_initial_

pytestmark = pytest.mark.filterwarnings("ignore")  # robustbench uses old names of timm's
AUGMIX = "cifar10/corruptions/Hendrycks2020AugMix_WRN"


@pytest.fixture(scope="module")
def zoo():
    if not importlib.util.find_spec("robustbench"):
        pytest.skip("robustbench is not installed: pip install 'flatqat[robust]'")
    source = registry.load(registry.MODELS, "robustbench")
    source.names()  # imports it as it needs to be
    return source


def test_importing_it_prints_nothing_and_leaves_no_stand_ins(zoo):
    code = (
        "import sys; from flatqat.models.robustbench import MODEL; names = MODEL.names(); "
        "sys.stderr.write(str(len(names))); "
        "assert not {'autoattack', 'pkg_resources'} & set(sys.modules); "
        "import robustbench; from robustbench.loaders import pkg_resources as p; "
        "assert p.resource_filename('robustbench.loaders', 'a/b').endswith('robustbench/a/b')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == str(len(zoo.names()))


def test_names_are_dataset_threat_and_name(zoo):
    names = zoo.names()
    assert AUGMIX in names
    assert {name.count("/") for name in names} == {2}
    assert {name.partition("/")[0] for name in names} == {"cifar10", "cifar100", "imagenet"}


def test_it_is_the_network_of_the_zoo_which_normalizes_itself(zoo):
    model = build(f"robustbench:{AUGMIX}", classes=10, seed=0).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images), model.net(images))
        inner = super(type(model.net), model.net).forward  # that of a WideResNet without normalization
        assert torch.equal(model(images), inner((images - 0.5) / 0.5))
    assert str(model.eval_transform) == "resized to short side 32 (bilinear, antialiased), centre crop 32"


@pytest.mark.parametrize(
    ("name", "classes", "written"),
    [
        (
            AUGMIX,
            10,
            lambda state: {
                "state_dict": {f"module.{k}": v for k, v in state.items() if k not in ("mu", "sigma")}
            },
        ),
        (AUGMIX, 10, lambda state: {f"model.{k}": v for k, v in state.items()}),
        (
            "cifar10/corruptions/Kireev2021Effectiveness_RLAT",
            10,
            lambda state: {"last": state, "best": {k: v * 0 for k, v in state.items()}},
        ),
        (
            "imagenet/Linf/Salman2020Do_R18",
            1000,
            lambda state: {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")},
        ),
    ],
)
def test_files_load_as_by_its_own_loader(zoo, name, classes, written, tmp_path):
    from robustbench.utils import load_model

    data, threat, short = name.split("/")
    torch.manual_seed(0)
    state = build(f"robustbench:{name}", classes=classes, seed=1).net.state_dict()
    path = tmp_path / data / threat / f"{short}.pt"
    path.parent.mkdir(parents=True)
    torch.save(written(state), path)
    theirs = load_model(short, model_dir=tmp_path, dataset=data, threat_model=threat)
    ours = build(f"robustbench:{name}", classes=classes, seed=0)
    load_initial_(ours, f"robustbench:{name}", path)
    expected = theirs.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in ours.net.state_dict().items())
    assert not all((v == 0).all() for v in expected.values())


def test_a_file_of_another_network_is_refused(zoo, tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="missing"):
        load_initial_(
            build(f"robustbench:{AUGMIX}", classes=10, seed=0), f"robustbench:{AUGMIX}", tmp_path / "w.pt"
        )


@pytest.mark.parametrize(
    ("name", "classes", "reason"),
    [
        (AUGMIX, 100, r"expected a suite of 10 classes \(cifar10\), got 100"),
        ("imagenet/corruptions/Standard_R50", 1000, "its constructor downloads weights"),
        ("imagenet/corruptions/AlexNet", 1000, "its constructor downloads weights"),
        ("cifar10/corruptions/Diffenderfer2021Winning_LRR_CARD_Deck", 10, "its weights are 6 files"),
        ("imagenet/Linf/Wong2020Fast", 1000, "its images are cut as Crop288"),
        ("cifar10/corruptions/Nobody", 10, "unknown robustbench model"),
    ],
)
def test_what_is_refused_says_why(zoo, name, classes, reason, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", None)  # nothing may reach for the network
    with pytest.raises(UsageError, match=reason):
        build(f"robustbench:{name}", classes=classes, seed=0)


@pytest.mark.parametrize("preprocessing", ["Res256Crop224", "BicubicRes256Crop224", "Res224"])
def test_images_are_cut_as_by_its_own_transforms(zoo, preprocessing):
    from robustbench.data import PREPROCESSINGS

    from flatqat.models.robustbench import FRAMES

    noise = np.random.default_rng(0).integers(0, 256, (300, 401, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    ours = torch.tensor(eval_crop(FRAMES[preprocessing])(image, 0)).permute(2, 0, 1) / 255
    assert torch.equal(ours, PREPROCESSINGS[preprocessing](image))


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "robustbench"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "robustbench" else real(n))
    with pytest.raises(UsageError, match=r"robustbench is not installed.*flatqat\[robust\]"):
        registry.load(registry.MODELS, "robustbench").names()


class Absent:
    """An import system without robustbench."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "robustbench":
            raise ModuleNotFoundError(name, name="robustbench")
