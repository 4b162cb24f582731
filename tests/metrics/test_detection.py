"""The AUROC of telling shifted images by confidence, with that of scikit-learn as the oracle."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from flatqat.metrics.detection import auroc


@pytest.mark.parametrize("decimals", [1, 8])
def test_it_is_that_of_scikit_learn_with_ties_and_without(decimals):
    random = np.random.default_rng(0)
    known, shifted = random.beta(5, 1, 400).round(decimals), random.beta(3, 1, 300).round(decimals)
    labels = np.repeat([1, 0], [400, 300])
    assert auroc(known, shifted) == pytest.approx(
        roc_auc_score(labels, np.concatenate([known, shifted])), abs=1e-12
    )


def test_separated_images_equal_images_and_unknown_confidence():
    high, low = np.array([0.9, 0.8]), np.array([0.3, 0.2, 0.1])
    assert (auroc(high, low), auroc(low, high), auroc(high, high)) == (1, 0, 0.5)
    assert np.isnan(auroc(high, np.array([0.5, np.nan])))
    assert np.isnan(auroc(np.array([0.5, np.nan]), high))
    assert np.isnan(auroc(high, np.empty(0)))
