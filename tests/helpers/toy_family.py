"""A family of suites made of the toy images: two sources of other brightness a target, split by the seed."""

from dataclasses import replace

from flatqat.finding import Finding
from flatqat.spec import Recipe
from flatqat.suite import Shift, Suite

CLASSES, IMAGES = 4, 120
SHADES = {"dark": -25, "plain": 0, "light": 25}
RECIPE = Recipe(
    pretrain_steps=20,
    steps=8,
    batch_size=30,
    pretrain_lr=0.05,
    lr=0.02,
    bn_batches=2,
    calibration_batches=2,
    flatness_images=16,
    flatness_draws=2,
    schedule="constant",
    select_every=2,
)


def _domains(names, part, seed):
    import torch

    from flatqat.data.tensors.image_data import ImageData

    labels = torch.arange(IMAGES) % CLASSES
    parts = []
    for name in names:
        number = list(SHADES).index(name)
        generator = torch.Generator().manual_seed(number)
        images = torch.full((IMAGES, 3, 16, 16), 110.0 + SHADES[name])
        for label in range(CLASSES):
            row, column = 8 * (label // 2), 8 * (label % 2)
            images[labels == label, :, row : row + 8, column : column + 8] += 40
        images += 50 * torch.randn(images.shape, generator=generator)
        order = torch.randperm(IMAGES, generator=generator.manual_seed(100 * seed + number))
        index = order[: IMAGES // 5] if part == "out" else order[IMAGES // 5 :]
        group = torch.full((len(index),), number)
        parts.append((images.clamp(0, 255).byte()[index], labels[index], group, number * IMAGES + index))
    images, labels, groups, ids = (torch.cat(column) for column in zip(*parts, strict=True))
    data = ImageData.in_memory(images, labels, classes=CLASSES, source="toy-family")
    return replace(data, groups=groups, ids=ids)


def member(target, seed):
    sources = tuple(name for name in SHADES if name != target)
    return Suite(
        name=f"toy-family@{target}",
        version=1,
        title=f"toy images, {target} left out",
        task="classification",
        classes=CLASSES,
        metric="top1",
        default_model="tiny",
        protocol="16x16, made up",
        layout="nothing on disk",
        train=lambda root: _domains(sources, "in", seed),
        val=lambda root: _domains(sources, "out", seed),
        shifts=(
            Shift(name="id", family="id", build=lambda root: _domains(sources, "out", seed)),
            Shift(
                name=target,
                family="target",
                build=lambda root: _domains([target], "in", seed),
                image_set="target",
            ),
            Shift(
                name="oracle",
                family="oracle",
                build=lambda root: _domains([target], "in", seed),
                image_set="target",
                in_mean=False,
                weights="last",
            ),
        ),
        recipes={"default": RECIPE},
        verify=lambda root: [Finding(ok=True, what="nothing to look at")],
        targets=tuple(SHADES),
        split=f"-s{seed}",
    )


SUITE = replace(member("dark", 0), name="toy-family", split="", member=member)
