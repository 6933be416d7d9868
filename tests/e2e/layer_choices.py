"""What the operators of random networks can be given: sizes, windows, factors, places."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np

from weft.nn.ir.numerics import Scaling, scaling_of
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 24, 31, 33, 48, 64, 70)
ZERO_POINTS = (-128, 127, 0, -1, 1, 83, -17, 4)


class Clamp(TypedDict, total=False):
    """An operator's output limits, where it has any."""

    low: int
    high: int


@dataclass
class Choices:
    """A network under construction: its tensors, and what its operators can be given."""

    rng: np.random.Generator
    wide_weights: bool  # with zero points: 9 bits
    packable: bool = False  # none is -128, so that two share a multiplier
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def pick(self, values):
        """One of the values."""
        return values[self.rng.integers(len(values))]

    def tensor(self, shape: tuple[int, int, int], zero_point: int | None = None) -> Tensor:
        """A new tensor with a zero point of its own."""
        if zero_point is None:
            zero_point = int(self.pick(ZERO_POINTS))
        name = f"t{len(self.tensors)}"
        self.tensors.append(Tensor(name=name, shape=shape, scale=1.0, zero_point=zero_point))
        return self.tensors[-1]

    def input(self, shape: tuple[int, int, int]) -> Tensor:
        """A new network input."""
        tensor = self.tensor(shape)
        self.inputs.append(tensor.name)
        return tensor

    def image(self, channels: int | None = None) -> Tensor:
        """A new input image of random size."""
        height, width = (int(n) for n in self.rng.integers(1, 10, 2))
        return self.input((channels or int(self.pick(CHANNELS)), height, width))

    def clamp(self) -> Clamp:
        """Output limits: the whole range, or what a folded Clip leaves."""
        if self.rng.random() < 0.5:
            return {}
        low, high = sorted(int(v) for v in self.rng.integers(-128, 128, 2))
        return {"low": low, "high": high}

    def window(self, source: Tensor, max_kernel: int = 4, beyond: bool = True) -> Window:
        """A window that fits the image, with any stride, dilation and asymmetric padding.

        beyond: at times with pads larger than the kernel.
        """
        larger = 4 if beyond and self.rng.random() < 0.2 else 0
        while True:
            kh, kw = (int(k) for k in self.rng.integers(1, max_kernel + 1, 2))
            sy, sx = (int(s) for s in self.rng.integers(1, 4, 2))
            top, left, bottom, right = (
                int(self.rng.integers(0, k + larger)) for k in (kh, kw, kh, kw)
            )
            dy, dx = (int(self.pick((1, 1, 1, 2))) for _ in range(2))
            window = Window(
                kernel=(kh, kw),
                stride=(sy, sx),
                pads=(top, left, bottom, right),
                dilation=(dy, dx),
            )
            if min(window.output_size(*source.shape[1:])) >= 1:
                return window

    def scaling(self, count: int, spread: float) -> Scaling:
        """Factors that bring sums of about ``spread`` into range; some of them extreme."""
        if self.rng.random() < 0.2:
            return scaling_of(2.0 ** self.rng.uniform(-36, 9, count))
        if self.rng.random() < 0.2:
            return scaling_of(2.0 ** -self.rng.integers(0, 16, count))  # ties
        return scaling_of(self.rng.uniform(0.2, 3, count) * 100 / max(1.0, spread))

    def stretched(self, source: Tensor, max_kernel: int = 4) -> Window:
        """A window over the stretched image, pads beyond its kernel or negative at times."""
        while True:
            kh, kw = (int(k) for k in self.rng.integers(1, max_kernel + 1, 2))
            stretch = int(self.rng.integers(1, 5)), int(self.rng.integers(1, 5))
            top, left, bottom, right = pads = [int(p) for p in self.rng.integers(-3, 5, 4)]
            window = Window(
                kernel=(kh, kw),
                pads=(top, left, bottom, right),
                dilation=(int(self.pick((1, 1, 2, 3))), int(self.pick((1, 1, 2, 3)))),
                stretch=stretch,
            )
            size = [(n - 1) * s for n, s in zip(source.shape[1:], stretch, strict=True)]
            cut = [max(-pads[i], 0) + max(-pads[i + 2], 0) for i in (0, 1)]
            inside = all(c <= n for c, n in zip(cut, size, strict=True))
            if inside and min(window.output_size(*source.shape[1:])) >= 1:
                return window

    def places(self, size: int) -> tuple[int, ...]:
        """Rows or columns: a part, repeated, spread, backwards, filled, or any."""
        count = int(self.rng.integers(1, 9))
        first, step = int(self.rng.integers(-2, size)), int(self.rng.integers(-2, 4))
        match self.pick(("line", "line", "repeat", "any")):
            case "line":
                line = [first + step * i for i in range(count)]
                return tuple(p if 0 <= p < size else -1 for p in line)
            case "repeat":
                return tuple(np.arange(size).repeat(int(self.rng.integers(1, 4))).tolist())
            case _:
                return tuple(self.rng.integers(-1, size, count).tolist())
