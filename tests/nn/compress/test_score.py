"""Scores on samples that calibration has not seen."""

import numpy as np
import pytest

from weft.errors import ConfigError
from weft.nn.compress.score import score, split


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("count", [32, 33, 301])
def test_no_sample_is_in_both(count: int, swapped: bool) -> None:
    parts = split(count, 100, swapped=swapped)
    assert not set(parts.calibrate) & set(parts.score)
    assert len(parts.calibrate) == min(100, (count + (not swapped)) // 2)
    assert len(set(parts.calibrate)) == len(parts.calibrate)
    assert len(parts.score) == (count + swapped) // 2


def test_too_few() -> None:
    with pytest.raises(ConfigError) as caught:
        split(31, 100)
    assert str(caught.value) == (
        "31 samples are too few: at least 32 are needed, one half to calibrate with and the other "
        "to score with"
    )


def test_scores() -> None:
    before = np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [5.0, 0.0, 4.0]])
    after = before.copy()
    after[3] = [4.0, 0.0, 5.0]
    found = score(after, before, np.array([0, 1, 2, 2]))
    assert (found.accuracy, found.agreement) == (1.0, 0.75)
    centred = before - before.mean(axis=1, keepdims=True)
    assert found.snr_db == pytest.approx(10 * np.log10(np.square(centred).sum() / 2))
    same = score(before, before, None)
    assert (same.accuracy, same.agreement, same.snr_db) == (None, 1.0, None)
    assert score(before + 7, before, None).snr_db is None  # no class can change by it


def test_labels_need_classes() -> None:
    with pytest.raises(ConfigError) as caught:
        score(np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(4, int))
    assert str(caught.value) == (
        "the first output of shape [1] gives no class for each sample to compare with labels"
    )
