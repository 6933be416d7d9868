"""The host's edges."""

import numpy as np
import pytest

from weft.errors import ConfigError
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.host import decode, encode
from weft.nn.ir.host_steps import (
    AccumulatorsStep,
    ArgMaxStep,
    DequantizeStep,
    QuantizeStep,
    ReshapeStep,
    SoftmaxStep,
    TransposeStep,
    dequantize,
    quantize,
    softmax,
)

FLOAT = HostEdge(
    name="image",
    tensor="x",
    shape=(2, 3),
    dtype="float32",
    steps=(
        ReshapeStep(shape=(6, 1, 1)),
        QuantizeStep(scale=0.5, zero_point=128, dtype="uint8"),
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
    steps = (DequantizeStep(scale=0.5, zero_point=128, dtype="uint8"),)
    output = HostEdge(name="y", tensor="x", shape=(6, 1, 1), dtype="float32", steps=steps)
    assert decode(output, codes).reshape(-1).tolist() == [i / 2 for i in range(12)]
    plain = HostEdge(name="y", tensor="x", shape=(6, 1, 1), dtype="uint8", steps=())
    assert decode(plain, codes).reshape(-1).tolist() == [i + 128 for i in range(12)]


def test_transpose_and_softmax() -> None:
    steps = (
        DequantizeStep(scale=0.5, zero_point=0, dtype="int8"),
        TransposeStep(axes=(0, 2, 3, 1)),
        SoftmaxStep(axis=3),
    )
    edge = HostEdge(name="y", tensor="x", shape=(1, 1, 3), dtype="float32", steps=steps)
    result = decode(edge, np.array([[[[1]], [[1]], [[1]]]], np.int8))
    assert result.shape == (1, 1, 1, 3)
    np.testing.assert_allclose(result.reshape(-1), [1 / 3] * 3, rtol=1e-6)
    large = softmax(np.array([[1000.0, 1000.0]], np.float32), -1)
    assert large.tolist() == [[0.5, 0.5]]
    assert dequantize(np.array([255], np.uint8), 0.5, 255).tolist() == [0.0]


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
@pytest.mark.parametrize("shape", [(64, 1000, 1, 1), (64, 7, 9, 5), (300, 12, 1, 1)], ids=str)
def test_softmax_is_a_function_of_values_alone(shape: tuple[int, ...], axis: int) -> None:
    """The same bits for a sample alone, in a batch, and in any order of memory."""
    values = np.random.default_rng(0).normal(0, 4, shape).astype(np.float32)
    whole = softmax(values, axis)
    assert whole.dtype == np.float32
    for i in range(0, len(values), 7):
        assert np.array_equal(softmax(values[i : i + 1], axis), whole[i : i + 1])
        assert np.array_equal(softmax(values[i : i + 1].copy(), axis), whole[i : i + 1])
    assert np.array_equal(softmax(values[3:50:2], axis), whole[3:50:2])
    assert np.array_equal(softmax(np.asfortranarray(values), axis), whole)
    turned = np.ascontiguousarray(values.transpose(3, 1, 2, 0)).transpose(3, 1, 2, 0)
    assert np.array_equal(softmax(turned, axis), whole)
    backwards = np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1]
    assert np.array_equal(softmax(backwards, axis), whole)
    exact = np.exp(values.astype(np.float64))
    exact /= exact.sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(whole, exact, rtol=3e-7)


@pytest.mark.parametrize("kind", ["softmax", "argmax", "dequantize", "quantize", "accumulators"])
def test_edges_are_functions_of_values_alone(kind: str) -> None:
    steps = {
        "softmax": (DequantizeStep(scale=0.3, zero_point=0, dtype="int8"), SoftmaxStep(axis=1)),
        "argmax": (ArgMaxStep(axis=1),),
        "dequantize": (DequantizeStep(scale=0.3, zero_point=0, dtype="int8"),),
        "quantize": (
            DequantizeStep(scale=0.3, zero_point=0, dtype="int8"),
            SoftmaxStep(axis=1),
            QuantizeStep(scale=1 / 256, zero_point=-128, dtype="int8"),
        ),
        "accumulators": (
            AccumulatorsStep(scales=(0.1,) * 100, offsets=(0.7,) * 100),
            SoftmaxStep(axis=1),
        ),
    }[kind]
    codes = np.random.default_rng(1).integers(-128, 128, (40, 300, 2, 1)).astype(np.int8)
    edge = HostEdge(name="y", tensor="x", shape=(300, 2, 1), dtype="float32", steps=steps)
    whole = decode(edge, codes)
    alone = np.concatenate([decode(edge, codes[i : i + 1]) for i in range(len(codes))])
    assert np.array_equal(alone, whole)
    assert np.array_equal(decode(edge, np.asfortranarray(codes)), whole)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((1, 3, 2), np.float32),
            "input 'image' has shape [1, 3, 2]; expected float32 of shape [n, 2, 3]; its channels "
            "are at the other end: array.transpose(0, 2, 1)",
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
