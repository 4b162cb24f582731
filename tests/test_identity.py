"""What a cell's id leaves out must not change under it: defaults, recipes, the meaning of a text of bits."""

import hashlib
import json
from dataclasses import asdict

import pytest

from flatqat import registry
from flatqat.spec import QuantSpec, Recipe

# One line for every version ever released. A digest that changes means stored results no longer say what they
# were made with: raise the method's `version` or the suite's, and add a line; never edit one.
KNOWN = {
    "adaround v1": "30e8f30fcd3a",
    "adaround v2": "30e8f30fcd3a",
    "anchor v1": "26d097d38740",
    "asam v1": "fb34321e9a2a",
    "dampen v1": "8abf819bd671",
    "ema v1": "c06e2c52c870",
    "fp v1": "44136fa355b3",
    "fqat v1": "52703e4c8a15",
    "freeze v1": "b0f31add18b7",
    "gaqat v1": "7b188f409d04",
    "gsam v1": "81d2c97955b8",
    "lookahead v1": "4aa8873d844b",
    "pretrain v1": "44136fa355b3",
    "ptq v1": "bd46527f6313",
    "qat v1": "411b01edcca5",
    "sagm v1": "3b6abd50d065",
    "sam v1": "55c1e24526aa",
    "saq v1": "59a5bc481024",
    "swad v1": "6ca92926101d",
    "bdd100k v1": "34f61e56b7d0",
    "camvid-dusk v1": "81e053e08f90",
    "cityscapes-acdc v1": "e8ff7b62560c",
    "cityscapes-acdc-pooled v1": "cacf8c8c2b20",
    "cityscapes-c-live v1": "ef53af655f3d",
    "dark-zurich v1": "4c6824ff736e",
    "nighttime-driving v1": "80064e2b016b",
    "cifar10-c v1": "a48fc497785b",
    "cifar10-c-live v1": "5da06937383c",
    "cifar10-c-live v2": "5da06937383c",
    "cifar10-c-live-135 v1": "4af520bb3f54",
    "cifar100-c v1": "859b63c3bc52",
    "cifar100-c-live v1": "0d768451f83c",
    "digits-c v1": "b9aeace50c85",
    "digits-c v2": "b9aeace50c85",
    "digits-c v3": "77c1cd653577",
    "imagenet-3dcc v1": "cfcd38dc2960",
    "imagenet-a v1": "effdee2e3fb1",
    "imagenet-c v1": "8a6d972d66dd",
    "imagenet-c-bar v1": "9d8d1b19697c",
    "imagenet-c-live v1": "bb8cd84feb7d",
    "imagenet-r v1": "4bf20772bff0",
    "imagenet-sketch v1": "253913694b9a",
    "imagenet-v2 v1": "788c7c5b60d8",
    "domainnet v1": "d1d7461ce2d1",
    "officehome v1": "51071b36f912",
    "pacs v1": "9af83c7e7d08",
    "shape-16 v1": "a84e3026f8ec",
    "streets v1": "9dff84186ef1",
    "terraincognita v1": "b59d626fa3b0",
    "vlcs v1": "23592a755921",
    "sysnoise v1": "229a7c3d20fa",
    "sysnoise-cifar10 v1": "5d224846c3a0",
    "sysnoise-cifar100 v1": "5d224846c3a0",
    "sysnoise-domainnet v1": "4d560aae75b1",
    "sysnoise-officehome v1": "20a6d7f56f28",
    "sysnoise-pacs v1": "20a6d7f56f28",
    "sysnoise-streets v1": "f887caf7a5c4",
    "sysnoise-terraincognita v1": "20a6d7f56f28",
    "sysnoise-vlcs v1": "20a6d7f56f28",
    "bits": "d05474a7b017",
}


# Fields added later count only where they are not at their default, as in a cell's id.
LATER = (
    "optimizer",
    "schedule",
    "frozen_batchnorm",
    "select_every",
    "select_images",
    "image_size",
    "channels_last",
    "layer_bits",
)
LATER_SETTINGS = {"percentile": 99.9}


def fields_of(value: Recipe | QuantSpec) -> dict[str, object]:
    default = Recipe(pretrain_steps=0, steps=0) if isinstance(value, Recipe) else QuantSpec()
    defaults = asdict(default)
    return {k: v for k, v in asdict(value).items() if k not in LATER or v != defaults[k]}


def settings_of(config: object) -> dict[str, object]:
    return {k: v for k, v in asdict(config).items() if k not in LATER_SETTINGS or v != LATER_SETTINGS[k]}


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def current() -> dict[str, str]:
    found = {"bits": digest([fields_of(QuantSpec.parse("4")), fields_of(Recipe(pretrain_steps=0, steps=0))])}
    for name in registry.names(registry.METHODS):
        method = registry.load(registry.METHODS, name)
        found[f"{name} v{method.version}"] = digest(settings_of(method.Config()))
    for name in registry.names(registry.SUITES):
        suite = registry.load(registry.SUITES, name)
        shifts = [(s.name, s.image_set, s.in_mean) for s in suite.shifts]
        recipes = {key: fields_of(recipe) for key, recipe in suite.recipes.items()}
        found[f"{name} v{suite.version}"] = digest([suite.protocol, shifts, recipes])
    return found


@pytest.mark.parametrize("name", sorted(current()))
def test_nothing_behind_an_identity_changed(name):
    assert name in KNOWN, f"add {name!r}: {current()[name]!r}"
    assert current()[name] == KNOWN[name], f"{name} changed: raise its version"
