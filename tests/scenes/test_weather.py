"""Weathers: fog after Koschmieder, a dark night, wet and dull rain, white snow, and never another label."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from flatqat.scenes import smooth
from flatqat.scenes.classes import BUILDING, ROAD, SIDEWALK, SKY, TERRAIN
from flatqat.scenes.fog import VISIBILITIES, fog, veiled
from flatqat.scenes.load import WEATHERS, pixels
from flatqat.scenes.night import night
from flatqat.scenes.rain import rain
from flatqat.scenes.scene import Map, Scene, scene
from flatqat.scenes.smooth import decay
from flatqat.scenes.snow import snow
from flatqat.spec import IGNORED

NUMBERS = range(2000, 2020)


@cache
def some() -> list[Scene]:
    return [scene(number) for number in NUMBERS]


def gray(colors: Map) -> Map:
    return colors @ np.array([0.299, 0.587, 0.114])


def test_the_labels_are_those_of_the_scene() -> None:
    for one in some():
        shown = pixels(one.number)
        assert set(shown) == {"clear", "fog", "night", "rain", "snow"}
        for weather in shown.values():
            assert np.array_equal(weather[3], one.labels)


@pytest.mark.parametrize("weather", WEATHERS)
def test_a_weather_depends_on_the_scene_alone(weather: str) -> None:
    for one in some()[:4]:
        assert np.array_equal(WEATHERS[weather](one), WEATHERS[weather](scene(one.number)))


def test_fog_follows_koschmieder() -> None:
    """ln((J - A) / (I - A)) / d is beta in every pixel and channel; the sky is A."""
    for one in some():
        foggy = fog(one)
        airlight = foggy[one.labels == SKY]
        assert len(np.unique(airlight, axis=0)) <= 1
        if not len(airlight):
            continue
        clear, seen = one.colors - airlight[0], foggy - airlight[0]
        told = (np.abs(clear) > 0.05) & (one.depth < 60)[..., None]
        beta = (np.log(clear[told] / seen[told]) / np.repeat(one.depth[..., None], 3, -1)[told]).astype(float)
        assert np.ptp(beta) < 1e-9  # float64, divided by depths of 1 metre and more
        assert 3 / VISIBILITIES[1] <= beta.mean() <= 3 / VISIBILITIES[0]


def test_the_veil_of_single_pixels() -> None:
    clear, air = np.array([[[0.2, 0.5, 1.0]] * 3]), np.array([0.8, 0.8, 0.8])
    got = veiled(clear, np.array([[0.0, 10.0, np.inf]]), np.log(2) / 10, air)
    expected = [[[0.2, 0.5, 1.0], [0.5, 0.65, 0.9], [0.8, 0.8, 0.8]]]
    assert np.allclose(got, expected, rtol=0, atol=1e-12)  # decay is exp to that


def test_a_clear_sky_is_the_brightest_class_and_at_night_it_is_nearly_black() -> None:
    def mean_of(images: list[Map], label: int) -> float:
        return float(
            np.concatenate(
                [gray(im)[one.labels == label] for im, one in zip(images, some(), strict=True)]
            ).mean()
        )

    days = [one.colors for one in some()]
    sky = mean_of(days, SKY)
    assert all(sky > mean_of(days, label) for label in range(19) if label != SKY)
    assert mean_of([night(one) for one in some()], SKY) < 0.12 < sky / 4


def test_nights_are_dark_noisy_and_lit_by_lamps() -> None:
    for one in some():
        dark, clear = gray(night(one)), gray(one.colors)
        unlit = (one.glow.sum(axis=-1) == 0) & (one.labels != IGNORED)
        assert dark[unlit].mean() < 0.65 * clear[unlit].mean()
        bright = one.glow.sum(axis=-1) > 1
        assert not bright.any() or dark[bright].mean() > 2 * dark[unlit].mean()
        if (one.labels == SKY).sum() > 50:
            assert dark[one.labels == SKY].std() > 0.005


def test_rain_takes_contrast_and_color() -> None:
    for one in some():
        wet = rain(one)
        assert gray(wet).std() < gray(one.colors).std()
        assert np.ptp(wet, axis=-1).mean() < np.ptp(one.colors, axis=-1).mean()


def test_a_wet_road_mirrors_what_stands_above_it() -> None:
    """Where the scene's upper half is black, the road is darker in rain, a plain copy of it would not be."""
    for one in some()[:5]:
        above = (np.arange(len(one.colors)) < one.horizon - 2)[:, None, None]
        black = replace(one, colors=np.where(above, 0.0, one.colors))
        change = (rain(black) - rain(one))[one.labels == ROAD]
        assert change.max() < 1e-9  # sums over whole columns leave a few roundings
        assert (change.mean(axis=0) < -0.02).all()


def test_snow_whitens_the_ground_and_leaves_walls() -> None:
    def brighter(label: int) -> float:
        both = [(gray(snow(one)) - gray(one.colors))[one.labels == label] for one in some()]
        return float(np.concatenate(both).mean())

    for flat in (SIDEWALK, TERRAIN):
        assert brighter(flat) > brighter(BUILDING) + 0.05
    assert brighter(ROAD) > 0.05


def test_blurring_keeps_means_and_is_the_box_mean_twice() -> None:
    image = np.random.default_rng(1).random((20, 30))
    padded = np.pad(image, 4, mode="edge")
    once = np.array([[padded[r + 2 : r + 7, c + 2 : c + 7].mean() for c in range(30)] for r in range(20)])
    inner = smooth.blurred(image, 2)[4:-4, 4:-4]
    twice = np.array(
        [[once[r - 2 : r + 3, c - 2 : c + 3].mean() for c in range(4, 26)] for r in range(4, 16)]
    )
    assert np.allclose(inner, twice, rtol=0, atol=1e-12)


def test_decay_is_the_exponential():
    """1e-12: the rounding of eight squarings, each of which doubles a relative error of 1e-16 or so."""
    x = np.concatenate([np.linspace(0, 50, 5001), [1e-300, 1e-9]])
    assert np.allclose(decay(x), np.exp(-x), rtol=1e-12, atol=0)
    assert decay(np.array([1e4, np.inf])).tolist() == [decay(np.array(50.0))] * 2
