"""What the host does at the network's edges, step by step, in float32 as ONNX Runtime does it.

A step's ``apply`` takes the array with its batch [n, ...].
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class HostStep(Value):
    """Base of the steps. ``word`` names one in texts."""

    word: ClassVar[str]

    def apply(self, array: np.ndarray) -> np.ndarray:
        """The step's result."""
        raise NotImplementedError

    @property
    def gives(self) -> str | None:
        """NumPy's name of the result's type; None where it is that of the array taken."""
        return None

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True, kw_only=True, eq=False)
class ReshapeStep(HostStep):
    """The same elements in another shape, per sample: the batch is not part of it."""

    word = "reshape"
    shape: tuple[int, ...]

    def apply(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(array.shape[0], *self.shape)

    def __str__(self) -> str:
        return " ".join([self.word, *map(str, self.shape)])


@dataclass(frozen=True, kw_only=True, eq=False)
class TransposeStep(HostStep):
    """Axes in another order; axes[0] is 0, the batch."""

    word = "transpose"
    axes: tuple[int, ...]

    def apply(self, array: np.ndarray) -> np.ndarray:
        return array.transpose(self.axes)

    def __str__(self) -> str:
        return " ".join([self.word, *map(str, self.axes)])


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizeStep(HostStep):
    """QuantizeLinear of float32 values."""

    word = "quantize"
    scale: float
    zero_point: int
    dtype: str  # "int8" or "uint8"

    @property
    def gives(self) -> str:
        return self.dtype

    def apply(self, array: np.ndarray) -> np.ndarray:
        return quantize(array, self.scale, self.zero_point, self.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class DequantizeStep(HostStep):
    """DequantizeLinear of codes."""

    word = "dequantize"
    scale: float
    zero_point: int
    dtype: str  # of the codes: "int8" or "uint8"

    @property
    def gives(self) -> str:
        return "float32"

    def apply(self, array: np.ndarray) -> np.ndarray:
        return dequantize(array, self.scale, self.zero_point)


@dataclass(frozen=True, kw_only=True, eq=False)
class AccumulatorsStep(HostStep):
    """Real values float32 [n, C, H, W] from the codes [n, C * k, H, W] of k parts each (C82).

    A channel's codes follow each other: the sum of code + 128, times its scale, plus its offset.
    """

    word = "accumulators"
    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    @property
    def gives(self) -> str:
        return "float32"

    def apply(self, array: np.ndarray) -> np.ndarray:
        shape = (len(array), len(self.scales), -1, *array.shape[2:])
        sums = (array.reshape(shape).astype(np.int64) + 128).sum(axis=2)
        scale, offset = (np.array(x).reshape(1, -1, 1, 1) for x in (self.scales, self.offsets))
        return (sums * scale + offset).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftmaxStep(HostStep):
    """Softmax along an axis of the array with its batch."""

    word = "softmax"
    axis: int

    def apply(self, array: np.ndarray) -> np.ndarray:
        return softmax(array, self.axis)


@dataclass(frozen=True, kw_only=True, eq=False)
class ArgMaxStep(HostStep):
    """Place of the largest value, int64; the axis, of the array with its batch, stays with size 1.

    last: of several largest values the last one counts, else the first.
    """

    word = "argmax"
    axis: int
    last: bool = False

    @property
    def gives(self) -> str:
        return "int64"

    def apply(self, array: np.ndarray) -> np.ndarray:
        if not self.last:
            return array.argmax(axis=self.axis, keepdims=True).astype(np.int64)
        backwards = np.flip(array, self.axis).argmax(axis=self.axis, keepdims=True)
        return (array.shape[self.axis] - 1 - backwards).astype(np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class CastStep(HostStep):
    """Integers as another type."""

    word = "cast"
    dtype: str  # "int32" or "int64"

    @property
    def gives(self) -> str:
        return self.dtype

    def apply(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self.dtype)


AnyHostStep = (
    ReshapeStep
    | TransposeStep
    | QuantizeStep
    | DequantizeStep
    | AccumulatorsStep
    | SoftmaxStep
    | ArgMaxStep
    | CastStep
)
"""The steps by name, for edges that are read back from JSON."""


def quantize(array: np.ndarray, scale: float, zero_point: int, dtype: str) -> np.ndarray:
    """ONNX QuantizeLinear of float32 values: saturate(rint(x / scale) + zero_point)."""
    info = np.iinfo(dtype)
    with np.errstate(over="ignore"):
        ratio = np.rint(array.astype(np.float32) / np.float32(scale))
    # Saturating before the addition keeps the sum exact; the bounds are those of the codes.
    codes = np.clip(ratio, info.min - zero_point, info.max - zero_point) + zero_point
    return codes.astype(dtype)


def dequantize(codes: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """ONNX DequantizeLinear: float32 (codes - zero_point) * scale."""
    return (codes.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    """Softmax of float32 values, the largest one subtracted first.

    A sample's result depends on nothing but its values: NumPy sums in an order that follows from
    strides and batch, so the order is laid down here, and float64 keeps what ``exp`` does in its
    last bit, which may differ from place to place in an array, out of the result.
    """
    rows = np.ascontiguousarray(np.moveaxis(values, axis, -1), np.float64)
    powers = np.exp(rows - rows.max(axis=-1, keepdims=True))
    total = np.add.accumulate(powers, axis=-1)[..., -1:]  # one after the other
    return np.moveaxis((powers / total).astype(np.float32), -1, axis)
