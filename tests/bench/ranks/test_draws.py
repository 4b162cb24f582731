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


def test_what_all_images_share_is_drawn_once():
    found = parts(lambda x: torch.empty(1, 1).uniform_().expand(len(x), 1), torch.ones(IMAGES, 1))
    assert len(found.unique()) == 1


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (torch.rand_like, "rand_like draws random numbers"),
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
