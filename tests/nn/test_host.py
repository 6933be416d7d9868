"""The host's edges."""

import numpy as np
import pytest

from weft.nn.errors import ConfigError
from weft.nn.graph import HostEdge, HostStep
from weft.nn.host import decode, dequantize, encode, quantize, softmax

FLOAT = HostEdge(
    name="image",
    tensor="x",
    shape=(2, 3),
    dtype="float32",
    steps=(
        HostStep(kind="reshape", shape=(6, 1, 1)),
        HostStep(kind="quantize", scale=0.5, zero_point=128, dtype="uint8"),
    ),
)


def test_quantize_rounds_half_to_even_and_saturates() -> None:
    values = np.array([0.25, 0.75, 1.25, -0.25, 1e30, -1e30], np.float32)
    assert quantize(values, 0.5, 3, "int8").tolist() == [3, 5, 5, 3, 127, -128]
    assert quantize(values, 0.5, 3, "uint8").tolist() == [3, 5, 5, 3, 255, 0]


def test_quantize_divides() -> None:
    """A multiplication by 1 / scale would give another code."""
    scale = np.float32(0.007843138)
    values = np.arange(-100_000, 100_000).astype(np.float32) * np.float32(1e-5)
    wanted = np.clip(np.rint(values / scale), -128, 127)
    assert np.array_equal(quantize(values, float(scale), 0, "int8"), wanted)


def test_uint8_codes_are_shifted_inside_the_edge() -> None:
    codes = encode(FLOAT, np.arange(12, dtype=np.float32).reshape(2, 2, 3) / 2)
    assert codes.dtype == np.int8
    assert codes.shape == (2, 6, 1, 1)
    assert codes.reshape(-1).tolist() == list(range(12))
    steps = (HostStep(kind="dequantize", scale=0.5, zero_point=128, dtype="uint8"),)
    output = HostEdge(name="y", tensor="x", shape=(6, 1, 1), dtype="float32", steps=steps)
    assert decode(output, codes).reshape(-1).tolist() == [i / 2 for i in range(12)]
    plain = HostEdge(name="y", tensor="x", shape=(6, 1, 1), dtype="uint8", steps=())
    assert decode(plain, codes).reshape(-1).tolist() == [i + 128 for i in range(12)]


def test_transpose_and_softmax() -> None:
    steps = (
        HostStep(kind="dequantize", scale=0.5, zero_point=0),
        HostStep(kind="transpose", shape=(0, 2, 3, 1)),
        HostStep(kind="softmax", axis=3),
    )
    edge = HostEdge(name="y", tensor="x", shape=(1, 1, 3), dtype="float32", steps=steps)
    result = decode(edge, np.array([[[[1]], [[1]], [[1]]]], np.int8))
    assert result.shape == (1, 1, 1, 3)
    np.testing.assert_allclose(result.reshape(-1), [1 / 3] * 3, rtol=1e-6)
    large = softmax(np.array([[1000.0, 1000.0]], np.float32), -1)
    assert large.tolist() == [[0.5, 0.5]]
    assert dequantize(np.array([255], np.uint8), 0.5, 255).tolist() == [0.0]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((1, 3, 2), np.float32),
            "input 'image' has shape [1, 3, 2]; expected float32 of shape [n, 2, 3]",
        ),
        (
            np.zeros((1, 2, 3), np.float64),
            "input 'image' is float64; expected float32 of shape [n, 2, 3]",
        ),
        (
            np.array([[[0, 1, 2], [3, np.nan, 5]]], np.float32),
            "input 'image' has the value nan at [0, 1, 1]; expected float32 of shape [n, 2, 3], "
            "finite",
        ),
        (
            [1.0],
            "input 'image' must be a NumPy array, not list; expected float32 of shape [n, 2, 3]",
        ),
    ],
)
def test_bad_data(array: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        encode(FLOAT, array)
    assert str(error.value) == message
