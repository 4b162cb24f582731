"""Derivatives against dense and closed-form ones: chunks, unused tensors, attention, nothing touched."""

import gc
import weakref

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from flatqat.flatness import derivatives
from flatqat.flatness.derivatives import gradient, hessian_product
from flatqat.flatness.graph_size import graph_size
from flatqat.flatness.lanczos import lanczos
from flatqat.flatness.params import Params, flatten, gaussian, unflatten
from tests.helpers.flatness_toys import SmallNet, quadratic, symmetric


def probe(params: Params, seed: int = 1) -> Tensor:
    return flatten(gaussian(params, torch.Generator().manual_seed(seed)))


# float64: 196 terms of 1e-16 each; float32: the same at 1e-7, in a net with two BatchNorms.
@pytest.mark.parametrize(("net", "tolerance"), [("net64", 1e-12), ("net32", 1e-4)])
@pytest.mark.parametrize("size", [12, 4])
def test_product_equals_the_dense_hessian(
    net: str, tolerance: float, size: int, dense: Tensor, request: pytest.FixtureRequest
) -> None:
    toy: SmallNet = request.getfixturevalue(net)
    product = hessian_product(toy.chunks(size), toy.params)
    for seed in (1, 2):  # twice: a single chunk keeps its graph
        vector = probe(toy.params, seed)
        expected = dense @ vector.double()
        assert (product(vector).double() - expected).norm() <= tolerance * expected.norm()


def test_gradient_of_chunks_is_that_of_the_whole(net64: SmallNet) -> None:
    whole = torch.autograd.grad(net64.loss(net64.params), list(net64.params.values()))
    got = gradient(net64.chunks(3), net64.params)
    for name, expected in zip(net64.params, whole, strict=True):
        torch.testing.assert_close(got[name], expected, rtol=1e-10, atol=1e-14)  # another order of summing


class Alive:
    """A cubic loss of one tensor that knows how many of its graphs are alive, by the lives of their contexts.

    `before` has that number at the start of every call.
    """

    def __init__(self) -> None:
        self.graphs: weakref.WeakSet[object] = weakref.WeakSet()
        self.before: list[int] = []

    def __call__(self, params: Params) -> Tensor:
        self.before.append(len(self.graphs))
        return self.of(Marked.apply(params["w"], self.graphs)).sum()

    def of(self, w: Tensor) -> Tensor:
        return w.pow(3)


class AliveExponential(Alive):
    """The same of an operation that saves its own result."""

    def of(self, w: Tensor) -> Tensor:
        return w.exp()


class Marked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, w: Tensor, graphs: set[object]) -> Tensor:
        ctx.token = Token()  # type: ignore[attr-defined]
        graphs.add(ctx.token)  # type: ignore[attr-defined]
        return w.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class Token:
    pass


CUBE = {"w": torch.arange(1.0, 4.0, dtype=torch.float64)}


def cube_size() -> int:
    """The size of one graph of Alive's gradient."""
    w = CUBE["w"].clone().requires_grad_()
    with graph_size() as size:
        torch.autograd.grad(Alive()({"w": w}), w, create_graph=True)
    return size()


# In graphs: room for all, one short of all, where one is rebuilt in the room of the last, and for none.
@pytest.mark.parametrize(("room", "kept"), [(4, 4), (3.9, 2), (2, 1), (1.9, 0), (0, 0)])
def test_graphs_are_kept_while_they_fit(room: float, kept: int) -> None:
    loss = Alive()
    product = hessian_product([loss] * 4, CUBE, memory=room * cube_size())
    assert len(loss.graphs) == kept
    for _ in range(2):
        loss.before.clear()
        assert torch.equal(product(torch.ones(3, dtype=torch.float64)), 6 * CUBE["w"])
        assert loss.before == [kept] * (4 - kept)  # never another rebuilt one
    assert len(loss.graphs) == kept


def test_kept_graphs_give_the_same_bits(net32: SmallNet) -> None:
    vector = probe(net32.params)
    kept, rebuilt = (hessian_product(net32.chunks(3), net32.params, memory=m) for m in (1e9, 0))
    assert torch.equal(kept(vector), rebuilt(vector))


def test_half_of_the_available_memory_is_for_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Alive()
    monkeypatch.setattr(derivatives, "available_memory", lambda device: int(2 * 4 * cube_size()))
    hessian_product([loss] * 4, CUBE)
    hessian_product([loss] * 5, CUBE)
    assert loss.before == [0, 1, 2, 3, 0, 1, 2]


def test_no_graph_outlives_its_product() -> None:
    loss = AliveExponential()
    product = hessian_product([loss] * 3, CUBE)
    torch.testing.assert_close(product(torch.ones(3, dtype=torch.float64)), CUBE["w"].exp())
    assert len(loss.graphs) == 3
    del product
    gc.collect()
    assert not loss.graphs


def test_a_gradient_has_one_graph_at_a_time() -> None:
    loss = Alive()
    gradient([loss] * 4, CUBE)
    assert loss.before == [0] * 4


def test_a_single_chunk_is_evaluated_once() -> None:
    loss = Alive()
    product = hessian_product([loss], CUBE, memory=0)
    for _ in range(3):
        product(torch.ones(3, dtype=torch.float64))
    assert len(loss.before) == 1


def test_the_size_of_a_graph_counts_each_storage_once() -> None:
    w, x = torch.ones(5, requires_grad=True), torch.ones(3, 5, requires_grad=True)
    with graph_size() as size:
        out = (w * x).exp()  # saves w, x and the result of exp
        out = out * x[:1]  # saves exp's result again, and a view of x
    assert out.requires_grad
    assert size() == 4 * (5 + 15 + 15)


def test_tensors_without_influence_have_zero_derivatives() -> None:
    params = {"used": torch.full((2,), 3.0), "linear": torch.ones(2), "unused": torch.ones(4)}
    loss = lambda p: p["used"].pow(2).sum() + p["linear"].sum()  # noqa: E731
    assert gradient([loss], params)["unused"].tolist() == [0.0] * 4
    image = unflatten(hessian_product([loss], params)(torch.ones(8)), params)
    assert image["used"].tolist() == [2.0, 2.0]
    assert image["linear"].tolist() == [0.0, 0.0]
    assert image["unused"].tolist() == [0.0] * 4


@pytest.mark.parametrize("loss", [lambda p: p["w"].sum(), lambda p: torch.tensor(1.0)])
def test_linear_and_constant_losses_have_no_curvature(loss: object) -> None:
    assert hessian_product([loss], {"w": torch.ones(3)})(torch.ones(3)).tolist() == [0.0] * 3  # type: ignore[list-item]


def test_attention_can_be_differentiated_twice() -> None:
    torch_generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(1, 2, 6, 8, generator=torch_generator)
    params = {name: torch.randn(8, 8, generator=torch_generator) for name in "kqv"}

    def attention(p: Params, fused: bool) -> Tensor:
        q, k, v = (tokens @ p[name] for name in "qkv")
        if fused:
            return scaled_dot_product_attention(q, k, v).pow(2).sum()
        return (torch.softmax(q @ k.mT / 8**0.5, -1) @ v).pow(2).sum()

    vector = probe(params)
    got = hessian_product([lambda p: attention(p, True)], params)(vector)
    expected = hessian_product([lambda p: attention(p, False)], params)(vector)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_what_is_given_stays_untouched(net32: SmallNet) -> None:
    params = {name: value.detach().clone() for name, value in net32.params.items()}
    before = {name: value.clone() for name, value in params.items()}
    state = torch.get_rng_state()
    hessian_product(net32.chunks(6), params)(probe(params))
    gradient(net32.chunks(6), params)
    assert torch.equal(state, torch.get_rng_state())
    for name, value in params.items():
        assert torch.equal(value, before[name])
        assert not value.requires_grad
        assert value.grad is None


def test_works_under_no_grad() -> None:
    params = {"w": torch.ones(3)}
    with torch.no_grad():
        assert hessian_product([lambda p: p["w"].pow(2).sum()], params)(torch.ones(3)).tolist() == [2.0] * 3
        assert gradient([lambda p: p["w"].pow(2).sum()], params)["w"].tolist() == [2.0] * 3


def test_order_of_names_does_not_matter() -> None:
    matrix = symmetric([3.0, 2.0, 1.0])
    one, two = torch.ones(1).double(), torch.full((2,), 2.0).double()
    vector = torch.tensor([1.0, 2.0, 3.0]).double()
    images = [
        hessian_product([quadratic(matrix)], params)(vector)
        for params in ({"a": one, "b": two}, {"b": two, "a": one})
    ]
    assert torch.equal(*images)
    torch.testing.assert_close(images[0], matrix @ vector)


def test_lanczos_basis_stays_orthonormal_in_float32() -> None:
    # A gap of 1e4: without re-orthogonalisation copies of the top vector come back within 40 steps.
    matrix = symmetric([1e4] + [i / 100 for i in range(1, 120)]).float()
    *_, space = lanczos(lambda v: matrix @ v, torch.ones(120), steps=40)
    gram = space.basis @ space.basis.T
    assert (gram - torch.eye(len(gram))).abs().max() < 1e-5  # 50 eps: sums of 120 products
