"""What the functions of random operators add to: a network under construction."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.nn.qdq_builder import Net


@dataclass(frozen=True)
class Codes:
    """A quantised tensor: its name in the network, the shape without the batch, and its codes.

    flat: an image's elements in a row, which only fully connected layers can read but as a whole.
    given: an input of the network, whose codes only DequantizeLinear may read.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero: int
    dtype: str
    flat: bool = False
    given: bool = False

    @property
    def image(self) -> bool:
        return len(self.shape) == 3

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def spread(self) -> float:
        """A rough standard deviation of the real values."""
        return 60 * self.scale


class Build:
    """A network under construction, and what a layer's function needs to add to it."""

    def __init__(self, rng: np.random.Generator, net: Net):
        self.rng, self.net = rng, net

    def pick(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def real(self, codes: Codes) -> str:
        return self.net.dq(codes.name, codes.scale, codes.zero, codes.dtype)

    def zero(self, dtype: str) -> int:
        low = -128 if dtype == "int8" else 0
        return low + self.pick((0, 128, self.whole(0, 255), self.whole(100, 156)))

    def quantised(self, real: str, shape: tuple[int, ...], spread: float, dtype: str) -> Codes:
        """The real tensor through QuantizeLinear: seldom far too fine or too coarse."""
        scale = spread / 60 * float(self.pick((0.7, 1.0, 1.5, self.rng.uniform(0.2, 4))))
        return self.at(real, shape, float(np.float32(scale)), self.zero(dtype), dtype)

    def at(self, real: str, shape: tuple[int, ...], scale: float, zero: int, dtype: str) -> Codes:
        return Codes(self.net.q(real, scale, zero, dtype), shape, scale, zero, dtype)

    def weights(self, shape: tuple[int, ...], axis: int | None) -> tuple[str, np.ndarray]:
        """Quantised weights, per channel of ``axis`` or per tensor, and their scales."""
        n = 1 if axis is None else shape[axis]
        scales = (self.rng.uniform(0.3, 3, n) / 127).astype("float32")
        values = self.rng.integers(-127, 128, shape)
        if self.rng.random() < 0.3:
            values[0] = 0
        name = self.net.constant(values, "int8")
        attributes = {} if axis is None else {"axis": axis}
        scale = scales if axis is not None else scales[0]
        zeros = np.zeros(scale.shape, "int8")
        return self.net.dq(name, scale, zeros, "int8", **attributes), scales

    def bias(self, n: int, x: Codes, scales: np.ndarray) -> list[str]:
        if self.rng.random() < 0.3:
            return []
        scale = (np.float32(x.scale) * scales).astype("float32")
        codes = self.rng.integers(-3000, 3001, n)
        name = self.net.constant(codes, "int32")
        zeros = np.zeros(scale.shape, "int32")
        if len(scales) == 1:
            return [self.net.dq(name, scale[0], zeros[0], "int32")]
        return [self.net.dq(name, scale, zeros, "int32", axis=0)]

    def activation(self, real: str, spread: float) -> str:
        """Sometimes a Relu or Clip before the quantisation."""
        match self.pick(("", "", "Relu", "Clip")):
            case "Relu":
                return self.net.node("Relu", real)
            case "Clip":
                low, high = self.net.constant(0.0, "float32"), self.net.constant(spread, "float32")
                return self.net.node("Clip", real, low, high)
        return real


Made = Codes | None
"""A layer's result; None where its kind does not fit what it reads."""


def moved(b: Build, x: Codes, real: str, shape: tuple[int, ...]) -> Made:
    """At the same quantisation; nothing where nothing has moved."""
    return None if shape == x.shape else b.at(real, shape, x.scale, x.zero, x.dtype)
