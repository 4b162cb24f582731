"""Methods of two passes: identities to the bit, what they leave alone, and what each option changes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat import registry
from flatqat.errors import UsageError
from flatqat.methods import asam, gsam, sagm, sam, saq
from flatqat.methods.base import Setup
from flatqat.methods.fp import FullPrecision
from flatqat.methods.qat import QAT
from flatqat.quant.apply import quantize_, quantizers
from flatqat.spec import QuantSpec, Recipe
from tests.helpers.method_runs import RECIPE, assert_equal, batches, network, trained

SPACES = ("latent", "quantized")
AT_REST = [
    (module.METHOD, module.Config(rho=0.0, space=space, **more))
    for module, more in (
        (sam, {}),
        (asam, {}),
        (gsam, {"rho_min": 0.0, "alpha": 0.0}),
        (sagm, {"alpha": 0.0}),
    )
    for space in SPACES
] + [(saq.METHOD, saq.Config(rho=0.0))]
TWO_PASSES = [
    name for name in registry.names(registry.METHODS) if registry.load(registry.METHODS, name).passes == 2
]


def at_rest(case) -> str:
    return f"{case[0].__name__}-{getattr(case[1], 'space', '')}"


@pytest.mark.parametrize("case", AT_REST, ids=at_rest)
@pytest.mark.parametrize("bits", ["3", "w2a32", "4@minmax"])
def test_without_a_radius_every_method_is_qat(case, bits):
    assert_equal(trained(case[0], bits, case[1]), trained(QAT, bits))


@pytest.mark.parametrize("case", AT_REST, ids=at_rest)
def test_without_a_radius_in_floating_point_every_method_is_fp(case):
    assert_equal(trained(case[0], "fp", case[1]), trained(FullPrecision, "fp"))


def test_saq_is_sam_behind_the_rounding_and_in_floating_point_sam_itself():
    for bits in ("3", "fp"):
        expected = trained(sam.SAM, bits, sam.Config(rho=0.3, space="quantized"))
        assert_equal(trained(saq.SAQ, bits), expected)
    assert_equal(expected, trained(sam.SAM, "fp", sam.Config(rho=0.3, space="latent")))


@pytest.mark.parametrize(
    ("method_class", "config"),
    [
        *((m, None) for m in (sam.SAM, asam.ASAM, gsam.GSAM, sagm.SAGM, saq.SAQ)),
        (sam.SAM, sam.Config(space="quantized")),
        (sam.SAM, sam.Config(scales=True)),
        (sam.SAM, sam.Config(rho=0.1)),
        (asam.ASAM, asam.Config(eta=0.1)),
        (gsam.GSAM, gsam.Config(rho_min=0.0)),
        (gsam.GSAM, gsam.Config(alpha=0.4)),
        (sagm.SAGM, sagm.Config(alpha=0.1)),
        (saq.SAQ, saq.Config(scales=True)),
    ],
    ids=str,
)
def test_every_method_and_option_changes_something(method_class, config):
    plain = trained(method_class if config else QAT, "3").state_dict()
    got = trained(method_class, "3", config).state_dict()
    assert any(not torch.equal(value, plain[name]) for name, value in got.items())


@pytest.mark.parametrize("case", AT_REST, ids=at_rest)
def test_both_passes_draw_the_same_dropout(case):
    """So without a radius every method is QAT with dropout too, and draws no more than QAT does."""
    found = []
    for method_class, config in (case, (QAT, None)):
        net = network("3")
        net.insert(5, nn.Dropout(0.5))
        method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), config)
        method.begin(batches(1))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for x, y in batches(3):
                method.step(x, y)
            found.append((net, torch.rand(())))
    assert_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("name", TWO_PASSES)
@pytest.mark.parametrize("space", SPACES)
def test_batchnorm_statistics_move_in_the_first_pass_only(name, space):
    tested, found = registry.load(registry.METHODS, name), []
    config = tested.Config() if name == "saq" else tested.Config(space=space)
    for method_class, settings in ((tested, config), (QAT, None)):
        net = network("3")
        method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), settings)
        method.begin(batches(1))
        method.step(*batches(1)[0])
        assert net[1].track_running_stats
        found.append({name: buffer.clone() for name, buffer in net[1].named_buffers()})
    assert found[0]["num_batches_tracked"] == 1
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize("name", TWO_PASSES)
def test_frozen_batchnorm_stays_frozen_in_both_passes(name):
    recipe = Recipe(pretrain_steps=0, steps=2, batch_size=16, frozen_batchnorm=True)
    net = network("3")
    method = registry.load(registry.METHODS, name)(Setup(model=net, loss=F.cross_entropy, recipe=recipe))
    method.begin(batches(1))
    modes = []
    net[1].register_forward_hook(lambda layer, args, out: modes.append(layer.training))
    method.step(*batches(1)[0])
    assert modes == [False, False]
    assert net[1].num_batches_tracked == 0


@pytest.mark.parametrize("space", SPACES)
def test_nothing_is_left_on_the_quantizers_even_after_an_error(space):
    net = network("3")
    method = sam.SAM(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), sam.Config(rho=1.0, space=space))
    method.begin(batches(1))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    calls = []

    def loss(z, y):
        calls.append(len(calls))
        if calls[-1] == 1:
            assert any(not torch.equal(p, before[name]) for name, p in net.named_parameters())
            raise RuntimeError("in the second pass")
        return F.cross_entropy(z, y)

    object.__setattr__(method.setup, "loss", loss)
    with pytest.raises(RuntimeError, match="in the second pass"):
        method.step(*batches(1)[0])
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())
    assert not any(q._forward_hooks for _, q in quantizers(net))
    assert net[1].track_running_stats


def on_the_grid() -> nn.Module:
    """A linear layer whose weights stand in the middle between two thresholds of a grid of step 0.5."""
    net = nn.Sequential(nn.Linear(3, 2, bias=False))
    quantize_(net, QuantSpec(weight_bits=3, keep=()))
    with torch.no_grad():
        net[0].parametrizations.weight.original.copy_(torch.tensor([[0.5, -1.0, 1.5], [0.0, 1.0, -0.5]]))
        net[0].parametrizations.weight[0].scale.fill_(0.5)
    return net


def test_a_small_latent_perturbation_is_rounded_away_and_a_quantized_one_is_not():
    """Diminishment: with |e| under half a step Q(W + e) = Q(W), so latent SAM steps as QAT does."""
    weights = {}
    for name, method_class, config in (
        ("qat", QAT, None),
        ("latent", sam.SAM, sam.Config(rho=0.2)),
        ("quantized", sam.SAM, sam.Config(rho=0.2, space="quantized")),
    ):
        net = on_the_grid()
        method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), config)
        method.step(torch.eye(3), torch.tensor([0, 1, 0]))
        weights[name] = net[0].parametrizations.weight.original.detach()
    assert torch.equal(weights["latent"], weights["qat"])
    assert not torch.allclose(weights["quantized"], weights["qat"], rtol=0, atol=1e-4)


def test_both_passes_run_under_the_autocast_of_qat():
    nets = []
    for method_class, config in ((QAT, None), (saq.SAQ, saq.Config(rho=0.0))):
        net = network("3")
        method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE, amp=True), config)
        method.begin(batches(1))
        modes = []
        net.register_forward_hook(lambda *_, modes=modes: modes.append(torch.is_autocast_enabled("cpu")))
        method.step(*batches(1)[0])
        assert modes == [True] * method_class.passes
        nets.append(net)
    assert_equal(*nets)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: sam.Config(rho=-1.0), "sam.rho: expected at least 0, got -1.0"),
        (lambda: asam.Config(rho=-1.0), "asam.rho"),
        (lambda: asam.Config(eta=-1.0), "asam.eta"),
        (lambda: gsam.Config(rho=0.01), "gsam.rho_min: expected 0 to 0.01, got 0.02"),
        (lambda: gsam.Config(alpha=-1.0), "gsam.alpha"),
        (lambda: sagm.Config(alpha=-1.0), "sagm.alpha"),
        (lambda: saq.Config(rho=-1.0), "saq.rho"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, problem):
    with pytest.raises(UsageError, match=problem):
        make()
