"""Row formats: what they take, and how they pack."""

import numpy as np
import pytest

from weft.machine.engine import ROWS, Style
from weft.machine.rows import PackedRow


@pytest.mark.parametrize("style", Style)
def test_limits_survive_packing(style: Style) -> None:
    """Any two neighbours within the limits can be told apart again."""
    rows = ROWS[style]
    low, high = rows.limits(8)
    values = np.arange(low, high + 1)
    pairs = np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2)
    packed = rows.pack(pairs)
    assert packed.shape[-1] == rows.fields(2)
    bits = rows.field_bits(8)
    assert packed.min() >= -1 << bits - 1
    assert packed.max() < 1 << bits - 1
    assert len(np.unique(packed, axis=0)) == len(pairs)
    assert np.abs(pairs * -128).max() < 1 << rows.product_bits(8) - 1


def test_packed_pairs_are_a_sum() -> None:
    weights = np.array([[-127, 127, 3, -1]], dtype=np.int16)
    assert PackedRow(latency=4).pack(weights).tolist() == [[127 * 1024 - 127, -1024 + 3]]
