"""Random numbers of layers for a part of a batch are those of one process with all of it."""

import pytest
import torch
from torch import nn
from torch.distributed import HashStore
from torch.nn import functional as F

from flatqat.bench.ranks.place import Place
from flatqat.bench.ranks.ranks import Ranks
from flatqat.bench.ranks.whole_batch import WholeBatch
from flatqat.errors import TrainingFailed

IMAGES, SIZE = 5, 2


def parts(function, x):
    """What a function returns for the parts of a batch, each drawn from the same state."""
    results = []
    for rank in range(SIZE):
        place = Place(rank=rank, size=SIZE, local_rank=rank, local_size=SIZE)
        whole = WholeBatch(Ranks(place, HashStore()), IMAGES)
        each = len(x) // IMAGES
        torch.manual_seed(0)
        with whole:
            results.append(function(x[whole.rows.start * each : whole.rows.stop * each]))
    return torch.cat(results)


def stochastic_depth(x):
    """As timm and torchvision leave out the layer of some images."""
    return x * x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(0.5)


def noisy(x):
    return x + torch.empty_like(x).normal_(0, 0.1) + torch.empty_like(x).uniform_(-1, 1)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (nn.Dropout(0.3), (IMAGES, 7)),
        (nn.Dropout(0.3, inplace=True), (IMAGES, 7)),
        (nn.Dropout(0.3), (3 * IMAGES, 7)),  # windows or tokens of each image
        (nn.Dropout1d(0.3), (IMAGES, 7, 4)),
        (nn.Dropout2d(0.3), (IMAGES, 7, 4, 4)),
        (nn.Dropout3d(0.3), (IMAGES, 7, 2, 2, 2)),
        (stochastic_depth, (IMAGES, 7, 4)),
        (stochastic_depth, (3 * IMAGES, 7, 4)),  # windows
        (noisy, (IMAGES, 7)),
        (nn.Dropout(0.3).eval(), (IMAGES, 7)),
        (nn.Dropout(0.0), (IMAGES, 7)),
    ],
)
def test_a_part_draws_what_the_whole_does(function, shape):
    x = torch.arange(torch.Size(shape).numel(), dtype=torch.float).add_(1).view(shape)
    found = parts(lambda part: function(part.clone()), x)
    torch.manual_seed(0)
    torch.testing.assert_close(found, function(x.clone()))


@pytest.mark.parametrize("shape", [(1, 1), (), (7, 3)])  # a layer, a number, weights
def test_what_all_images_share_is_drawn_once(shape):
    def function(x):
        return torch.empty(shape).uniform_().sum().expand(len(x), 1)

    x = torch.ones(IMAGES, 1)
    found = parts(function, x)
    torch.manual_seed(0)
    torch.testing.assert_close(found, function(x))


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (8, 3)])
def test_where_a_process_has_one_image_a_row_can_be_its_own_or_that_of_all(shape):
    for rank in range(SIZE):
        place = Place(rank=rank, size=SIZE, local_rank=rank, local_size=SIZE)
        refused = pytest.raises(TrainingFailed, match="whose rows may be those of images or not")
        with refused, WholeBatch(Ranks(place, HashStore()), 3):
            torch.empty(shape).normal_()


def test_a_layer_of_pytorch_that_draws_nothing_works():
    lstm = nn.LSTM(4, 3, 2, dropout=0.5, batch_first=True).eval()
    x = torch.ones(IMAGES, 2, 4)
    torch.testing.assert_close(parts(lambda x: lstm(x)[0], x), lstm(x)[0])


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        *(
            (getattr(torch, name), f"{name} draws random numbers")
            for name in ("rand_like", "randn_like", "bernoulli", "poisson")
        ),
        *(
            (getattr(torch.Tensor, name), f"{name} draws random numbers")
            for name in ("bernoulli", "exponential_", "log_normal_", "random_", "cauchy_")
        ),
        (lambda x: torch.randint_like(x, 9), "randint_like draws random numbers"),
        (lambda x: torch.dropout(x, 0.5, True), "dropout draws random numbers"),
        (lambda x: F.gumbel_softmax(x), "gumbel_softmax draws random numbers"),
        (lambda x: torch.distributions.Normal(x, x).sample(), "normal draws random numbers"),
        (nn.LSTM(4, 3, 2, dropout=0.5), "lstm draws random numbers"),
        (lambda x: torch.empty(6, 2).normal_(), r"normal_ draws for a tensor of \(6, 2\)"),
        (lambda x: F.alpha_dropout(x, 0.5, training=True), "alpha_dropout draws random numbers"),
        (lambda x: F.dropout(x.new_ones(7, 2)), r"dropout draws for a tensor of \(7, 2\)"),
        (
            lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], dropout_p=0.5),
            "scaled_dot_product_attention draws random numbers",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(function, problem):
    with pytest.raises(TrainingFailed, match=f"{problem}.*--distributed cannot divide"):
        parts(function, torch.ones(IMAGES, 4))


def test_a_generator_of_its_own_gives_the_same_everywhere():
    def function(x):
        return x + torch.rand(1, generator=torch.Generator().manual_seed(1))

    x = torch.ones(IMAGES, 4)
    torch.testing.assert_close(parts(function, x), function(x))
