"""Bits are chosen on images of the training distribution alone, and on none that is reported."""

from dataclasses import replace

import pytest
import torch

from flatqat import registry
from flatqat.bench.plan.jobs import members
from flatqat.bench.sensitivity.images import HELD_APART, DrawnImages
from flatqat.bench.sensitivity.options import CHOOSE_ON, Options
from flatqat.bench.sensitivity.shifts import reported
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES
from flatqat.errors import UsageError
from flatqat.spec import EvalTransform
from flatqat.suite import Shift, Suite


def toy() -> Suite:
    return registry.load(registry.SUITES, "toy")


def frozen() -> Suite:
    """Without training images: `val` are test images."""
    return replace(toy(), untrainable_reason=lambda root: "none", val=toy().shifts[0].build)


def images(suite: Suite, **changes) -> DrawnImages:
    return replace(DrawnImages(suite=suite, root=None, view=EvalTransform(), limit=40, seed=0), **changes)


def never(root):
    raise AssertionError("a scored set was built to choose bits")


@pytest.mark.parametrize("choose_on", CHOOSE_ON)
def test_no_shift_is_ever_built_to_choose_on(choose_on):
    sealed = replace(toy(), shifts=tuple(replace(shift, build=never) for shift in toy().shifts))
    for found in images(sealed).choosing(choose_on):
        found.data.batch(torch.arange(2))
    shifts = (toy().shifts[0], *(replace(shift, build=never) for shift in toy().shifts[1:]))
    for found in images(replace(frozen(), shifts=shifts)).choosing(choose_on):
        found.data.batch(torch.arange(2))


@pytest.mark.parametrize("headline", HELD_APART)
def test_a_corruption_that_counts_in_the_mean_never_chooses(headline):
    shift = Shift(name=f"{headline}/2", family="noise", severity=2, build=never)
    suite = replace(toy(), shifts=(*toy().shifts, shift))
    for choose_on in ("held-apart", "worst-family"):
        with pytest.raises(UsageError, match=f"does not count in its mean, got {headline}; use clean"):
            images(suite).choosing(choose_on)
    aside = replace(toy(), shifts=(*toy().shifts, replace(shift, in_mean=False)))
    assert len(images(aside).choosing("held-apart")) == 4


@pytest.mark.parametrize("name", ["noise/2", "noise", "gaussian_noise/3", "val", "id", "ood"])
def test_nothing_else_can_be_named(name):
    with pytest.raises(UsageError, match="what a suite scores never chooses bits"):
        Options(bops="4-bit", choose_on=name)


def test_test_images_are_split_where_val_would_be_some_of_them():
    chosen = images(frozen(), limit=1000).choosing("clean")[0].data
    shown = images(frozen(), limit=1000).reported(frozen().shifts)
    for one in shown:
        assert not set(one.data.ids.tolist()) & set(chosen.ids.tolist())
        assert torch.equal(one.data.ids, shown[0].data.ids)
    assert len(chosen) + len(shown[0].data) == len(frozen().shifts[0].build(None))
    another = images(frozen(), seed=1).choosing("clean")[0].data.ids
    assert not torch.equal(another, images(frozen()).choosing("clean")[0].data.ids)


def test_labels_of_groups_stay_those_of_groups_where_id_images_choose():
    grouped = tuple(replace(shift, groups=((0, 1), (2,))) for shift in toy().shifts)
    for suite, groups in ((toy(), None), (frozen(), ((0, 1), (2,)))):
        suite = replace(suite, shifts=grouped)
        assert {one.groups for one in images(suite).choosing("worst-family")} == {groups}
        assert {one.groups for one in images(suite).reported(suite.shifts)} == {((0, 1), (2,))}


def test_the_id_images_are_split_where_they_also_choose_the_step():
    suite = replace(toy(), val=toy().shifts[0].build)
    chosen = images(suite, limit=1000).choosing("clean")[0].data
    for one in images(suite, limit=1000).reported(suite.shifts):
        assert not set(one.data.ids.tolist()) & set(chosen.ids.tolist())


@pytest.mark.parametrize("name", ["pacs@sketch", "officehome@art", "sysnoise-pacs", "sysnoise-vlcs"])
def test_suites_of_domains_choose_the_step_on_id_images_and_are_split(name):
    (suite,) = members(name, 0)
    assert images(replace(suite, untrainable_reason=lambda root: "")).splits


def test_val_is_used_whole_where_it_is_apart():
    chosen = images(toy(), limit=1000).choosing("clean")[0].data
    assert torch.equal(chosen.fetch(torch.arange(3)), toy().val(None).fetch(torch.arange(3)))
    assert len(images(toy(), limit=1000).reported(toy().shifts)[0].data) == 96


def test_the_corruptions_held_apart_are_those_of_imagenet_c_made_of_val():
    assert HELD_APART == ("speckle_noise", "gaussian_blur", "spatter", "saturate")
    found = images(toy()).choosing("worst-family")
    assert [one.name for one in found] == ["val", *(f"val {name}/3" for name in HELD_APART)]
    assert {len(one.data) for one in found} == {40 // 5}
    clean = found[0].data
    for one, name in zip(found[1:], HELD_APART, strict=True):
        assert NAMES[name] == "extra"
        got, _ = one.data.batch(torch.arange(4))
        made = corrupt(clean.fetch(torch.arange(4)), clean.ids[:4], name=name, severity=3, table="cifar")
        assert torch.equal(got, made.float() / 255)


def test_too_few_images():
    with pytest.raises(UsageError, match="expected 2 images or more, got 1"):
        images(toy(), limit=1).reported(toy().shifts)


def live() -> Suite:
    return registry.load(registry.SUITES, "cifar10-c-live")


def names(*args) -> list[str]:
    return [shift.name for shift in reported(live(), *args)]


def test_by_default_one_shift_of_each_family_in_the_mean():
    first = ["id", "gaussian_noise/3", "defocus_blur/3", "snow/3", "contrast/3"]
    assert names() == first
    assert names(("blur", "noise")) == first[:3]
    assert names(("extra",)) == ["id", "speckle_noise/3"]
    assert names((), ("fog/*",)) == ["id", *(f"fog/{severity}" for severity in range(1, 6))]
    assert names(("blur",), ("*/5",)) == ["id", *(f"{n}/5" for n, f in NAMES.items() if f == "blur")]
    assert [shift.name for shift in reported(toy())] == ["id", "noise/2"]  # the nearest to 3
    own = registry.load(registry.SUITES, "imagenet-r")
    assert [shift.name for shift in reported(own)] == ["id", "imagenet-r"]


def test_names_that_are_none():
    with pytest.raises(UsageError, match="unknown family of cifar10-c-live 'fogs'"):
        names(("fogs",))
    with pytest.raises(UsageError, match=r"unknown shift of cifar10-c-live 'fogs/\*'"):
        names((), ("fogs/*",))
    with pytest.raises(UsageError, match="unknown shift"):
        names(("noise",), ("fog/3",))
