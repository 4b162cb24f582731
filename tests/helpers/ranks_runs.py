"""Processes that train together, forked from a test, and the same training by one."""

import os
import pickle
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import TCPStore

from flatqat.bench.ranks.place import Place
from flatqat.bench.ranks.ranks import Ranks
from flatqat.bench.ranks.whole_batch import WholeBatch
from flatqat.methods.base import Setup
from flatqat.metrics.loss import Loss, cross_entropy
from flatqat.quant.apply import quantize_
from flatqat.spec import QuantSpec, Recipe

CPU = torch.device("cpu")


def forked(size: int, folder: Path, work: Callable[[Ranks], Any], *, is_open: bool = True) -> list[Any]:
    """What `work` returns in each of so many processes that meet, and are ready for sums if `is_open`."""
    folder.mkdir(parents=True, exist_ok=True)
    store, children = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False), []
    for rank in range(size):
        pid = os.fork()
        if not pid:
            try:
                _work(rank, size, folder, store.port, work, is_open)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    return [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(size)]


def _work(rank: int, size: int, folder: Path, port: int, work: Callable[[Ranks], Any], is_open: bool) -> None:
    place = Place(rank=rank, size=size, local_rank=rank, local_size=size)
    ranks = Ranks(place, TCPStore("127.0.0.1", port, wait_for_workers=False))
    if is_open:
        ranks.open(CPU)
    result = work(ranks)
    (folder / str(rank)).write_bytes(pickle.dumps(result))


class Net(nn.Module):
    """A small network with all that mixes images; as a segmenter it has an auxiliary head."""

    def __init__(self, *, per_pixel: bool) -> None:
        super().__init__()
        self.per_pixel = per_pixel
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.body = nn.Sequential(
            nn.Dropout2d(0.2), nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.auxiliary = nn.Conv2d(6, 4, 1)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Conv2d(8, 4, 1) if per_pixel else nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        early = self.stem(x)
        late = self.drop(self.body(early))
        if not self.per_pixel:
            return self.head(late.mean((2, 3)))
        return ((1.0, self.head(late)), (0.4, self.auxiliary(early))) if self.training else self.head(late)


def network(bits: str, *, per_pixel: bool = False) -> nn.Module:
    """The same network in double precision at every call, so that no last digit turns a code."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(per_pixel=per_pixel).double()
    quantize_(net, QuantSpec.parse(bits))
    return net.double()


def trained(
    method_class: Any,
    config: Any,
    batches: list[tuple[Tensor, Tensor]],
    *,
    bits: str = "4",
    loss: Loss = cross_entropy,
    ranks: Ranks | None = None,
) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of a training, one step a batch, and the states before and after its end.

    It is trained alone, or as one of `ranks`.
    """
    x, y = batches[0]
    net = network(bits, per_pixel=y.ndim > 1)
    whole = WholeBatch(ranks, len(x)) if ranks else None
    rows, steps = whole.rows if whole else slice(None), len(batches)

    def val_loss() -> float:
        with torch.no_grad():
            return loss(net.eval()(x.flip(3)), y).item()

    def train() -> list[float]:
        recipe = Recipe(pretrain_steps=steps, steps=steps, batch_size=len(x), lr=0.05, pretrain_lr=0.05)
        mean = whole.mean_of(loss) if whole else loss
        method = method_class(Setup(model=net, loss=mean, recipe=recipe, val_loss=val_loss), config)
        method.begin(batches[:2])
        torch.manual_seed(3)
        losses = []
        for images, labels in batches[: method.total_steps]:
            with whole or nullcontext():
                logs = method.step(images[rows], labels[rows])
            losses.append(logs["loss"].item())
        states.update({f"{name} before the end": t.clone() for name, t in net.state_dict().items()})
        method.end(batches[:2])
        return losses

    states: dict[str, Tensor] = {}
    with whole.on(net) if whole else nullcontext():
        losses = train()
    return losses, states | net.state_dict()
