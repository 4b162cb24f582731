"""Model sources: names, shapes, seeds, weights from files."""

import pytest
import torch
from safetensors.torch import save_file

from flatqat import registry, testing
from flatqat.errors import UsageError, WeightsError
from flatqat.models.base import build
from flatqat.models.checkpoint import read_entries
from flatqat.models.weights import load_weights_


@pytest.mark.parametrize("name", ["tiny", "cifar"])
def test_contract(name):
    for check in testing.CHECKS[registry.MODELS]:
        check(registry.load(registry.MODELS, name))


@pytest.mark.parametrize(("name", "parameters"), [("resnet20", 269_722), ("resnet56", 853_018)])
def test_cifar_resnets_have_the_size_of_the_paper(name, parameters):
    """He et al. 2016, table 6: 0.27M and 0.85M."""
    net = build(f"cifar:{name}", classes=10, seed=0).net
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.filterwarnings("ignore")  # torchvision and timm warn of themselves at import
@pytest.mark.parametrize(
    "name", ["torchvision:mobilenet_v3_small", "torchvision:googlenet", "timm:resnet10t"]
)
def test_libraries_build_untrained_networks(name):
    model = build(name, classes=7, seed=0).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 3, 64, 64)).shape == (2, 7)


def test_the_same_seed_builds_the_same_network_and_leaves_the_global_generator():
    before = torch.get_rng_state()
    a, b, c = (build("tiny", classes=10, seed=seed).net.state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["conv1.weight"], c["conv1.weight"])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tniy", "did you mean 'tiny'"),
        ("cifar", "expected 'cifar:NAME'"),
        ("tiny:", "model 'tiny:': expected 'tiny', got a colon without a name"),
        ("cifar:resnet21", "resnet20, resnet32"),
    ],
)
def test_unknown_names(name, problem):
    with pytest.raises(UsageError, match=problem):
        build(name, classes=10, seed=0)


def test_normalization_happens_before_the_network():
    model = build("cifar:resnet20", classes=10, seed=0)
    x = torch.rand(1, 3, 2, 2)
    expected = (x[0, 1] - 0.456) / 0.224
    torch.testing.assert_close(model.normalize(x)[0, 1], expected)


def test_weights_round_trip_by_every_format(tmp_path):
    net = build("tiny", classes=10, seed=1).net
    state = net.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pt")
    torch.save({"model": state, "epoch": 3}, tmp_path / "c.pth")
    for path in sorted(tmp_path.iterdir()):
        fresh = build("tiny", classes=10, seed=2).net
        load_weights_(fresh, path)
        assert all(torch.equal(v, state[k]) for k, v in fresh.state_dict().items())


def test_what_is_missing_or_left_over_is_said(tmp_path):
    state = build("tiny", classes=10, seed=1).net.state_dict()
    del state["linear.bias"]
    state["extra"] = torch.zeros(1)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(
        WeightsError, match=r"1 missing \(first: linear.bias\); 1 not in the network \(first: extra\)"
    ):
        load_weights_(build("tiny", classes=10, seed=0).net, tmp_path / "w.pt")


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not weights"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_damaged_files(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="expected tensors alone"):
        read_entries(path)


def test_real_weights_load_and_classify(shared):
    """Trained on the originals, seen on re-encoded copies: about 81% of 1,000 images, standard error 1.2."""
    suite = registry.load(registry.SUITES, "cifar10-c-live")
    for name in ("resnet20", "resnet32"):
        model = build(f"cifar:{name}", classes=10, seed=0).eval()
        load_weights_(model.net, shared / "models" / f"cifar10_{name}.safetensors")
        right = 0
        with torch.no_grad():
            for x, y in suite.shifts[0].build(shared / "data").sample(1000).batches(250):
                right += int((model(x).argmax(1) == y).sum())
        assert 770 < right < 870
