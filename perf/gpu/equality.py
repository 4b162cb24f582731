"""The device computes what the CPU computes, and the same bits when asked twice.

Sums are taken in another order there, so numbers agree to rounding. What is decided by comparison, codes and
gray levels, may differ where rounding crosses a boundary: for a share of values, by one step.
"""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor

from flatqat import registry
from flatqat.bench.flatness.measure import flatness_of
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES, SEVERITIES
from flatqat.methods.base import Method
from flatqat.metrics.task import task_of
from flatqat.models.base import build
from flatqat.quant.apply import calibrate, quantize_
from flatqat.quant.apply import quantizers as quantizers_of
from flatqat.quant.base import Quantizer, Role
from flatqat.quant.observe import Observer
from flatqat.spec import Cell, QuantSpec
from perf.gpu.ledger import Entry, check
from perf.gpu.setting import TINY, Setting, apart, pictures
from perf.networks import RECIPE, RESNET_20, Network, rule

FEW = 1e-4  # of the codes and gray levels
CELL = Cell(suite="digits-c", suite_version=1, model="tiny", method="qat", quant="4", recipe="smoke", seed=0)


def quantizers(on: Setting) -> Iterator[Entry]:
    """Codes, values and gradients of one tensor."""
    for name in registry.names(registry.QUANTIZERS):
        for role in ("weight", "input"):
            for bits in (4,) if on.tiny else (2, 4, 8):
                yield _quantizer(on, name, role, bits)


def _quantizer(on: Setting, name: str, role: Role, bits: int) -> Entry:
    made: type[Quantizer] = registry.load(registry.QUANTIZERS, name)
    generator = torch.Generator().manual_seed(bits)
    v = torch.randn(64, 32, 3, 3, generator=generator)
    v = v if role == "weight" else v.relu()
    q = made(bits=bits, role=role, scale_shape=(64, 1, 1, 1) if role == "weight" and made.per_channel else ())
    seen = Observer(tuple(q.scale.shape), keep_all=True)
    seen.add(v)
    q.calibrate(seen, "mse")
    upstream = torch.randn(v.shape, generator=generator)
    (codes, *here), (codes_there, *there) = (
        _through(deepcopy(q).to(d), v.to(d), upstream.to(d)) for d in on.places
    )
    moved = (codes - codes_there.cpu()).abs()
    share, gaps = float((moved > 0).float().mean()), [apart(a, b) for a, b in zip(there, here, strict=True)]
    again = _through(deepcopy(q).to(on.device), v.to(on.device), upstream.to(on.device))
    same = all(torch.equal(a, b) for a, b in zip(again, (codes_there, *there), strict=True))
    close = int(moved.max()) <= 1 and share <= FEW and (share > 0 or max(gaps) <= 1e-4)
    return check(f"{name}, {role}, {bits} bits", close and same, codes=share, gaps=max(gaps), same_twice=same)


def _through(q: Quantizer, v: Tensor, upstream: Tensor) -> list[Tensor]:
    """Return codes, value and gradients."""
    leaf = v.clone().requires_grad_()
    out = q(leaf)
    wanted = [leaf, *q.parameters()]
    grads = torch.autograd.grad(out, wanted, upstream, materialize_grads=True, allow_unused=True)
    return [q.codes(v), out.detach(), *grads]


def calibration(on: Setting) -> Iterator[Entry]:
    """The step sizes of a network by every rule."""
    images = pictures(16, 32).float() / 255
    for name in ("lsq", "lsqplus") if on.tiny else registry.names(registry.QUANTIZERS):
        for ranges in ("own", "minmax", "mse", "percentile"):
            scales = []
            for device in on.places:
                model = build("tiny", classes=10, seed=0)
                quantize_(model.net, QuantSpec.parse(f"4@{name}"))
                model.to(device)
                calibrate(model, [images.to(device)], ranges)
                scales.append(torch.cat([q.scale.detach().flatten().cpu() for _, q in quantizers_of(model)]))
            gap = apart(scales[1], scales[0])
            yield check(
                f"{name}, ranges {ranges}", gap <= 2e-2, gap=gap
            )  # a search may stop beside its optimum


def corruptions(on: Setting) -> Iterator[Entry]:
    """Gray levels; the same twice, and the same for one image alone."""
    sets = [("cifar", 32, 6 if on.tiny else 64)] + ([] if on.tiny else [("imagenet", 224, 8)])
    for table, size, count in sets:
        images, ids = pictures(count, size), torch.arange(count) + 1000
        there, ids_there = images.to(on.device), ids.to(on.device)
        for name in NAMES:
            most, share, repeats = 0, 0.0, True
            severities = SEVERITIES[2:3] if on.tiny else SEVERITIES
            for severity in severities:
                how = {"name": name, "severity": severity, "table": table}
                found = corrupt(there, ids_there, **how)
                moved = (corrupt(images, ids, **how).short() - found.cpu().short()).abs()
                most, share = (
                    max(most, int(moved.max())),
                    share + float((moved > 0).float().mean()) / len(severities),
                )
                repeats &= torch.equal(found, corrupt(there, ids_there, **how))
                repeats &= torch.equal(found[2:3], corrupt(there[2:3], ids_there[2:3], **how))
            good = most <= 1 and share <= 1e-3 and repeats
            yield check(
                f"{name}, {size} pixels", good, levels=most, share=share, same_twice_and_alone=repeats
            )


def training(on: Setting) -> Iterator[Entry]:
    """A few steps of every method, and of QAT with every quantizer: losses, and the same weights twice."""
    steps = 2 if on.tiny else 5
    runs = [(TINY, name, "4") for name in registry.names(registry.METHODS) if _takes_steps(name)]
    runs += [(TINY, "qat", f"4@{name}") for name in registry.names(registry.QUANTIZERS) if name != "lsq"]
    if not on.tiny:
        runs += [(RESNET_20, name, "4") for name in ("fp", "qat", "anchor", "sam")]
    for network, method, bits in runs:
        here, there, again = (_trained(network, method, bits, d, steps) for d in (*on.places, on.device))
        first, last = (abs(there[0][k] - here[0][k]) / abs(here[0][k]) for k in (0, -1))
        same = all(torch.equal(there[1][key], again[1][key]) for key in there[1])
        good = first <= 1e-4 and last <= 5e-2 and same
        yield check(f"{method} {bits}, {network}", good, first=first, last=last, same_twice=same)


def _takes_steps(method: str) -> bool:
    chosen: type[Method] = registry.load(registry.METHODS, method)
    return chosen.steps(RECIPE) > 0


def _trained(
    network: Network, method: str, bits: str, device: torch.device, steps: int
) -> tuple[list[float], dict[str, Tensor]]:
    begun, (x, y) = rule(network, method, bits, device=device), network.examples(device)
    losses = [float(begun.step(x, y)["loss"]) for _ in range(steps)]
    begun.end([(x, y)])
    return losses, {name: tensor.cpu() for name, tensor in begun.model.state_dict().items()}


def flatness(on: Setting) -> Iterator[Entry]:
    """Eigenvalue, trace and sharpness of one network in every space."""
    x, y = Network("tiny", "tiny", 16 if on.tiny else 64, 32).examples()
    start = rule(TINY, "qat", "4")
    for _ in range(3):
        start.step(x, y)
    measures = ("lambda_max", "sharpness") if on.tiny else ("lambda_max", "trace", "sharpness")
    for space in ("quantized",) if on.tiny else ("quantized", "latent", "step_size"):
        found = []
        for device in on.places:
            model = rule(TINY, "qat", "4", device=device).model
            model.load_state_dict(start.model.state_dict())
            batch = [(x.to(device), y.to(device))]
            found.append(flatness_of(model, batch, CELL, measures=measures, space=space, draws=2))
        for name, most in (("lambda_max", 5e-3), ("trace", 2e-2), ("sharpness_sam", 2e-2)):
            if name in found[0]:
                here, there = (each[name]["value"] for each in found)
                gap = abs(there - here) / max(abs(here), 1e-6)
                yield check(f"{name}, space {space}", gap <= most, cpu=here, device=there)


def meters(on: Setting) -> Iterator[Entry]:
    """Scores and predictions of drawn logits."""
    generator = torch.Generator().manual_seed(0)
    count = 64 if on.tiny else 4096
    flat = torch.randn(count, 10, generator=generator) * 3, torch.randint(10, (count,), generator=generator)
    maps = torch.randn(2, 5, 40, 64, generator=generator), torch.randint(5, (2, 40, 64), generator=generator)
    for task, classes, (logits, labels) in (("classification", 10, flat), ("segmentation", 5, maps)):
        scores = []
        for device in on.places:
            meter = task_of(task).meter(classes)
            meter.add(logits.to(device), labels.to(device))
            scores.append({name: score.value for name, score in meter.result()[0].items()})
        gap = max(abs((scores[0][name] or 0) - (scores[1][name] or 0)) for name in scores[0])
        yield check(task, gap <= 1e-4, gap=gap)
