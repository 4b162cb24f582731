"""mCE against the identities of its definition, effective robustness against published residuals."""

import csv
from pathlib import Path

import numpy as np
import pytest

from flatqat.data.corruptions.names import NAMES
from flatqat.metrics.effective_robustness import LINES, effective_robustness, predicted
from flatqat.metrics.mce import ALEXNET, ALEXNET_CLEAN, mce, mce_weights, relative_mce

# ResNet-50 of torchvision, error in percent on 5,000 images, rounded to 0.1 as published by RobustBench.
RESNET50 = dict(
    zip(
        ALEXNET,
        [68.5, 70.9, 74.0, 61.1, 73.2, 61.9, 63.7, 67.8, 62.7, 54.5, 32.2, 60.9, 55.0, 55.1, 46.2],
        strict=True,
    )
)


def test_the_fifteen_in_order():
    assert list(ALEXNET) == [name for name, family in NAMES.items() if family != "extra"]


def test_alexnet_is_one_hundred():
    assert mce(ALEXNET) == pytest.approx(100, abs=1e-12)
    assert relative_mce(ALEXNET, ALEXNET_CLEAN) == pytest.approx(100, abs=1e-12)


def test_a_constant_model():
    """Half of all wrong everywhere: the mean of 50 / E of AlexNet, by hand 64.6726."""
    assert mce(dict.fromkeys(ALEXNET, 50.0)) == pytest.approx(64.6726, abs=5e-5)
    assert relative_mce(dict.fromkeys(ALEXNET, 50.0), 50.0) == 0


def test_resnet50_as_published():
    """RobustBench gives mCE 76.38; the errors are rounded to 0.1, which moves the mean by less than 0.07."""
    assert mce(RESNET50) == pytest.approx(76.38, abs=0.07)


def test_weights_are_the_derivative():
    more = {**RESNET50, "fog": RESNET50["fog"] + 5}  # one point at each severity is a point of the mean
    assert mce(more) - mce(RESNET50) == pytest.approx(5 * 5 * mce_weights()["fog"])


def test_other_sets_of_corruptions_are_refused():
    with pytest.raises(ValueError, match="expected the 15 corruptions"):
        mce({"fog": 50.0})


@pytest.mark.parametrize(
    ("line", "id_top1", "ood_top1", "residual"),
    [
        ("imagenet-v2@1", 76.130, 63.210, -0.74),
        ("imagenet-v2@1", 56.522, 43.430, -0.22),
        ("imagenet-r@1", 92.120, 36.173, -0.60),
        ("imagenet-r@1", 76.910, 21.773, 1.05),
        ("imagenet-sketch@1", 76.130, 24.092, -0.36),
        ("imagenet-sketch@1", 56.522, 10.719, -0.30),
    ],
)
def test_residuals_of_resnet50_and_alexnet(line, id_top1, ood_top1, residual):
    """Top-1 as published by the testbed, and the residuals of numpy.polyfit on all its models, which are
    rounded to 0.01; so are the coefficients, to 4 digits."""
    assert effective_robustness(id_top1, ood_top1, line) == pytest.approx(residual, abs=0.015)


def test_models_on_the_line_have_none():
    for name, line in LINES.items():
        for id_top1 in (50.0, 75.0, 90.0):
            assert effective_robustness(id_top1, predicted(id_top1, line), name) == pytest.approx(
                0, abs=1e-12
            )
            assert effective_robustness(id_top1, predicted(id_top1, line) + 3, name) == pytest.approx(3)
        assert predicted(50.0, line) == pytest.approx(100 / (1 + 2.718281828459045**-line.intercept))
        assert effective_robustness(100.0, 50.0, name) is None


@pytest.mark.parametrize(
    ("line", "id_set", "ood_set"),
    [
        ("imagenet-v2@1", "val", "v2"),
        ("imagenet-r@1", "val_on_r", "r"),
        ("imagenet-sketch@1", "val", "sketch"),
    ],
)
def test_lines_are_fits_to_the_published_models_that_their_authors_fit(line, id_set, ood_set):
    """`testbed_top1.csv` has all 87 models called standard; the authors leave two copies of ResNet-50 out."""
    with Path(__file__).with_name("testbed_top1.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[id_set] and row[ood_set]]
    fitted = [row for row in rows if "aws" not in row["model"] and "batch64" not in row["model"]]
    assert len(rows) - len(fitted) == 2
    x, y = (np.log(p / (100 - p)) for p in np.array([[row[id_set], row[ood_set]] for row in fitted], float).T)
    slope, intercept = np.polyfit(x, y, 1)
    expected = LINES[line]
    assert (len(fitted), round(slope, 4), round(intercept, 4)) == (
        expected.models, expected.slope, expected.intercept,
    )  # fmt: skip
    assert np.corrcoef(x, y)[0, 1] ** 2 == pytest.approx(expected.r2, abs=6e-4)
