"""torch's attention as layers: the same numbers, files of the old names, and every projection quantized."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from flatqat import registry
from flatqat.errors import WeightsError
from flatqat.models.attention import Attention, split_attention_, split_state
from flatqat.models.base import build, load_initial_
from flatqat.quant.apply import calibrate, quantize_
from flatqat.quant.audit import audit, summary
from flatqat.spec import QuantSpec

EPS = 1e-12  # float64: sums in another order
VIT = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


def make(classes):
    return Net(classes)
"""


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(**options) -> tuple[nn.MultiheadAttention, Attention]:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(12, 3, **options).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5)  # biases start with zeros
    return theirs, Attention(theirs).double()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"kdim": 5, "vdim": 7}], ids=["same", "no bias", "other sizes"]
)
def test_it_computes_what_torch_computes(options, need_weights, batch_first):
    theirs, ours = pair(batch_first=batch_first, **options)
    query, key, value = drawn(2, 4, 12), drawn(2, 6, theirs.kdim, seed=1), drawn(2, 6, theirs.vdim, seed=2)
    tokens = (query, key, value) if batch_first else [t.transpose(0, 1) for t in (query, key, value)]
    expected, got = (net(*tokens, need_weights=need_weights) for net in (theirs, ours))
    torch.testing.assert_close(got[0], expected[0], atol=EPS, rtol=0)
    if need_weights:
        torch.testing.assert_close(got[1], expected[1], atol=EPS, rtol=0)
    else:
        assert got[1] is expected[1] is None


MASKS = {
    "padding": {"key_padding_mask": torch.tensor([[False] * 6, [False] * 4 + [True] * 2])},
    "added padding": {"key_padding_mask": drawn(2, 6, seed=3)},
    "hidden": {"attn_mask": torch.ones(4, 6, dtype=torch.bool).triu(2)},
    "added": {"attn_mask": drawn(4, 6, seed=4)},
    "by head": {"attn_mask": drawn(6, 4, 6, seed=5)},
    "both": {
        "attn_mask": torch.ones(4, 6, dtype=torch.bool).triu(2),
        "key_padding_mask": torch.tensor([[False] * 6, [True] + [False] * 5]),
    },
}
MASKS["both"]["attn_mask"][0] = False  # a query that sees nothing would give NaN


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
def test_masks_are_those_of_torch(masks, need_weights):
    theirs, ours = pair(batch_first=True)
    tokens = drawn(2, 4, 12), drawn(2, 6, 12, seed=1), drawn(2, 6, 12, seed=2)
    options = {"need_weights": need_weights, "average_attn_weights": False, **masks}
    expected, got = theirs(*tokens, **options), ours(*tokens, **options)
    torch.testing.assert_close(got[0], expected[0], atol=EPS, rtol=0)
    without = ours(*tokens, need_weights=need_weights)[0]
    assert not torch.allclose(got[0], without, atol=1e-3), "the mask changes nothing"
    if need_weights:
        torch.testing.assert_close(got[1], expected[1], atol=EPS, rtol=0)


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence_alone_needs_no_batch(batch_first):
    theirs, ours = pair(batch_first=batch_first)
    tokens = drawn(4, 12)
    padding = torch.tensor([False, False, True, False])
    expected = theirs(tokens, tokens, tokens, key_padding_mask=padding)
    got = ours(tokens, tokens, tokens, key_padding_mask=padding)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=EPS, rtol=0)


def test_gradients_are_those_of_torch():
    theirs, ours = pair(batch_first=True)
    tokens = drawn(2, 4, 12)
    for net in (theirs, ours):
        net(tokens, tokens, tokens)[0].pow(2).sum().backward()
    got = torch.cat([getattr(ours, f"{name}_proj").weight.grad for name in "qkv"])
    # sums over tokens of products as large as 100 times the outputs
    torch.testing.assert_close(got, theirs.in_proj_weight.grad, atol=100 * EPS, rtol=0)


@pytest.mark.parametrize("need_weights", [False, True])
def test_dropout_is_that_of_torch_in_training_alone(need_weights):
    """From the same state of the generator both drop the same weights."""
    theirs, ours = pair(batch_first=True, dropout=0.5)
    tokens = drawn(2, 64, 12)

    def out(net: nn.Module, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return net(tokens, tokens, tokens, need_weights=need_weights)[0]

    torch.testing.assert_close(out(ours, 0), out(theirs, 0), atol=EPS, rtol=0)
    assert not torch.equal(out(ours, 0), out(ours, 1))
    ours.eval()
    assert torch.equal(out(ours, 0), out(ours, 1))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # torch's, not ours
@pytest.mark.parametrize("training", [True, False])
def test_encoders_of_torch_run_on_it(training):
    """In inference they would take the weights past the layers, with a padding mask as one nested tensor."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(12, 2, 24, dropout=0.0, batch_first=True)
    theirs = nn.TransformerEncoder(layer, 2).double().train(training)
    ours = copy.deepcopy(theirs)
    split_attention_(ours)
    assert [m.training for m in ours.modules()] == [training] * len(list(ours.modules()))
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    with torch.no_grad():
        expected, got = (net(drawn(2, 5, 12), src_key_padding_mask=padding) for net in (theirs, ours))
    torch.testing.assert_close(got[~padding], expected[~padding], atol=EPS, rtol=0)


def test_a_shared_layer_stays_shared_and_others_stay_as_they_are():
    class Own(nn.MultiheadAttention):
        pass

    shared = nn.MultiheadAttention(8, 2)
    net = nn.ModuleList(
        [
            nn.ModuleDict({"a": shared}),
            nn.ModuleDict({"b": shared}),
            Own(8, 2),
            nn.MultiheadAttention(8, 2, add_bias_kv=True),
            nn.MultiheadAttention(8, 2, add_zero_attn=True),
        ]
    )
    split_attention_(net)
    assert isinstance(net[0]["a"], Attention)
    assert net[0]["a"] is net[1]["b"]
    assert [type(m) for m in net[2:]] == [Own, nn.MultiheadAttention, nn.MultiheadAttention]


def test_a_layer_with_two_names_in_one_module_is_replaced_under_both():
    net = nn.Module()
    net.a = net.b = nn.MultiheadAttention(8, 2)
    split_attention_(net)
    assert isinstance(net.a, Attention)
    assert net.a is net.b


def test_layers_that_share_their_weight_alone_stay_as_they_are():
    one, other = nn.MultiheadAttention(8, 2), nn.MultiheadAttention(8, 2)
    other.in_proj_weight = one.in_proj_weight
    net = nn.ModuleList([one, other, nn.MultiheadAttention(8, 2)])
    split_attention_(net)
    assert [type(m) for m in net] == [nn.MultiheadAttention, nn.MultiheadAttention, Attention]


def test_a_causal_mask_has_to_be_given_as_in_torch():
    attention, x = nn.MultiheadAttention(8, 2), torch.zeros(3, 1, 8)
    for layer in (attention, Attention(attention)):
        with pytest.raises((RuntimeError, ValueError), match="attn_mask"):
            layer(x, x, x, is_causal=True)


@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"kdim": 5, "vdim": 7}], ids=["same", "no bias", "other sizes"]
)
def test_states_of_the_old_names_fit(options):
    theirs, _ = pair(batch_first=True, **options)
    state = theirs.state_dict()
    _, ours = pair(batch_first=True, **options)
    for parameter in ours.parameters():
        nn.init.zeros_(parameter)
    ours.load_state_dict(split_state(ours, state))
    tokens = drawn(2, 4, 12), drawn(2, 6, theirs.kdim, seed=1), drawn(2, 6, theirs.vdim, seed=2)
    torch.testing.assert_close(ours(*tokens)[0], theirs(*tokens)[0], atol=EPS, rtol=0)
    assert set(split_state(ours, ours.state_dict())) == set(ours.state_dict())


def test_a_network_from_a_file_is_quantized_throughout(tmp_path):
    path = tmp_path / "vit.py"
    path.write_text(VIT)
    model = f"file:{path}:make"
    made = build(model, classes=4, seed=0)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    quantize_(made, QuantSpec.parse("4"))
    calibrate(made, [images])
    found = summary(audit(made, images))
    layers = 6  # patches, three projections into attention and one out of it, the classifier
    assert (found["quantized"], found["floating"]) == (2 * layers, [])


def test_weights_of_the_old_names_load_and_misfits_are_named(tmp_path):
    path, weights = tmp_path / "vit.py", tmp_path / "vit.safetensors"
    path.write_text(VIT)
    torch.manual_seed(1)
    plain = registry.import_file(path).make(4)
    save_file(plain.state_dict(), weights)
    made = build(f"file:{path}:make", classes=4, seed=0)
    load_initial_(made, f"file:{path}:make", weights)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    # single precision, sums in another order
    torch.testing.assert_close(made(images), plain(made.normalize(images)), atol=1e-6, rtol=1e-5)
    state = plain.state_dict()
    save_file({**state, "attention.in_proj_weight": torch.ones(5, 8)}, weights)
    with pytest.raises(WeightsError, match=r"attention\.\w_proj\.weight"):
        load_initial_(made, f"file:{path}:make", weights)
