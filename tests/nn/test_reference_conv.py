"""The reference's convolution in pieces: the same sums as of all windows at once."""

import numpy as np
import pytest

from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops import conv as conv_op
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.window import Window, windows


def random_conv(seed: int) -> tuple[np.ndarray, Conv]:
    """Centred codes [N, C, H, W] and a convolution of them, of any stride, dilation or stretch."""
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 2, 3]))
    per_in, per_out = (int(n) for n in rng.integers(1, 4, 2))
    stretched = seed % 2
    kernel, dilation, steps = (_pair(rng, most) for most in (4, 3, 3))
    least = -1 if stretched else 0
    top, left, bottom, right = (int(n) for n in rng.integers(least, 4, 4))
    window = Window(
        kernel=kernel,
        stride=(1, 1) if stretched else steps,
        stretch=steps if stretched else (1, 1),
        dilation=dilation,
        pads=(top, left, bottom, right),
    )
    weight = rng.integers(-128, 128, (groups * per_out, per_in, *kernel)).astype(np.int16)
    conv = Conv(
        name="c",
        output="y",
        input="x",
        weight=weight,
        bias=np.zeros(len(weight), np.int64),
        scaling=scaling_of(1.0),
        window=window,
        groups=groups,
    )
    codes = rng.integers(-128, 128, (2, groups * per_in, *rng.integers(10, 14, 2)))
    return codes.astype(np.float64), conv


def _pair(rng: np.random.Generator, most: int) -> tuple[int, int]:
    return int(rng.integers(1, most + 1)), int(rng.integers(1, most + 1))


@pytest.mark.parametrize("most", [1, 1 << 22])
@pytest.mark.parametrize("seed", range(40))
def test_sums(seed: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv_op, "MAX_COLUMNS", most)
    codes, conv = random_conv(seed)
    view = windows(codes, conv.window, 0)
    split = view.reshape(len(codes), conv.groups, -1, *view.shape[2:])
    weight = conv.weight.reshape(conv.groups, -1, *conv.weight.shape[1:]).astype(np.float64)
    expected = np.einsum("ngiyxkl,goikl->ngoyx", split, weight)
    found = conv_op._matrix(codes, conv.weight.astype(np.float64), conv)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))
