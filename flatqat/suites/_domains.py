"""Families of suites that leave one domain out, as in DomainBed."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from flatqat.data.domains.load import load
from flatqat.data.domains.sets import DomainSet
from flatqat.data.domains.verify import verify
from flatqat.data.images.color_jitter import color_jitter, random_gray
from flatqat.data.images.views import random_resized_crop
from flatqat.spec import EvalTransform, Recipe
from flatqat.suite import Shift, Suite
from flatqat.suites._shifts import own_images

if TYPE_CHECKING:
    from torch import Generator, Tensor

EVAL_TRANSFORM = EvalTransform(resize=224, crop=224, squash=True)
IMAGES_A_SOURCE = 32
AREA, STRENGTH, GRAY = (0.7, 1.0), 0.3, 0.1


def family(dataset: DomainSet, *, name: str, steps: int = 5001, select_every: int = 200) -> Suite:
    """Return the suite `name`, which stands for one member `name@domain` for each domain left out.

    The data and shifts of the family itself are those of its first target with seed 0. The default recipe
    selects among checkpoints that are `select_every` steps apart.
    """
    sources = len(dataset.domains) - 1
    default = Recipe(
        pretrain_steps=steps, steps=steps, batch_size=IMAGES_A_SOURCE * sources, pretrain_lr=1e-3, lr=5e-5,
        weight_decay=0.0, bn_batches=5, flatness_images=64, optimizer="adam", schedule="constant",
        frozen_batchnorm=True, select_every=select_every,
    )  # fmt: skip
    smoke = replace(
        default, pretrain_steps=20, steps=20, batch_size=4 * sources, bn_batches=2, calibration_batches=2,
        flatness_images=8, flatness_draws=2, select_every=10,
    )  # fmt: skip
    recipes = {"default": default, "smoke": smoke}
    member = partial(_member, dataset=dataset, family=name, recipes=recipes)
    return replace(member(dataset.targets[0], 0), name=name, title=dataset.title, split="", member=member)


def _member(target: str, seed: int, *, dataset: DomainSet, family: str, recipes: dict[str, Recipe]) -> Suite:
    sources = tuple(name for name in dataset.targets if name != target)
    of_sources = partial(load, dataset=dataset, domains=sources, seed=seed)
    of_target = partial(load, dataset=dataset, domains=(target,), seed=seed)
    id_ = Shift(name="id", family="id", build=partial(of_sources, part="out"))
    ood = Shift(name=target, family="target", build=partial(of_target, part="in"), image_set="target")
    out = own_images("target_out", partial(of_target, part="out"), in_mean=False)
    return Suite(
        name=f"{family}@{target}",
        version=1,
        title=f"{dataset.title}, {target} left out",
        task="classification",
        classes=dataset.classes,
        metric="top1",
        default_model="torchvision:resnet50",
        protocol=_protocol(dataset, recipes["default"]),
        layout=_layout(dataset),
        train=partial(of_sources, part="in"),
        val=id_.build,
        shifts=(
            id_,
            ood,
            replace(ood, name="oracle", family="oracle", in_mean=False, weights="last"),
            replace(out, name=f"{target}_out"),
        ),
        recipes=recipes,
        verify=partial(verify, dataset=dataset),
        augment=_augment,
        new_head=True,
        sizes_vary=True,
        eval_transform=EVAL_TRANSFORM,
        train_transform=partial(random_resized_crop, area=AREA),
        targets=dataset.targets,
        split=f"-s{seed}",
    )


def _augment(x: "Tensor", generator: "Generator") -> "Tensor":
    return random_gray(color_jitter(x, generator, strength=STRENGTH), generator, share=GRAY)


def _protocol(dataset: DomainSet, recipe: Recipe) -> str:
    parts = [
        f"one of {len(dataset.domains)} domains left out, "
        "every domain split 80/20 by the seed as in DomainBed",
        "trained on 80% of the sources",
        "ID: their 20%, which also choose the step, by the mean top-1 over the sources",
        "OOD: 80% of the left-out domain",
        "oracle: the same images, weights of the last step",
        "random windows of 70 to 100% and flips, colour jitter 0.3 in floating point, 10% grey",
        f"recipe default as in SWAD's fork of DomainBed: Adam, lr {recipe.lr:g}, constant, no weight decay, "
        f"{IMAGES_A_SOURCE} images a source, {recipe.steps} steps, one in {recipe.select_every} and the last "
        "to choose from, BatchNorm frozen",
        "published numbers start from the ImageNet weights IMAGENET1K_V1",
    ]
    if dataset.surplus:
        parts.append(f"{dataset.surplus}, count as images where they are there")
    return "; ".join(parts)


def _layout(dataset: DomainSet) -> str:
    folders = " or ".join(f"{name}/" for name in dataset.folders)
    classes = ", ".join(dataset.names) or f"{dataset.classes} folders, the same in every domain"
    return f"""{folders} in the data root, or the data root itself, with <domain>/<class>/<image>
  domains   {", ".join(dataset.targets)}
  classes   {classes}"""
