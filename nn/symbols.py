"""What an importer knows about each value of an ONNX graph while it walks the nodes.

Shapes here are ONNX's, with the batch in front, which is always 1.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.nn.graph import CODE_MAX, CODE_MIN, HostStep, Operator, Tensor
from weft.nn.host import quantize

if TYPE_CHECKING:
    from weft.nn.builder import Builder

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """Scale and zero point of an 8-bit tensor, as the model has them."""

    scale: float  # a float32 number
    zero_point: int  # of the model's own type: 0..255 where dtype is uint8
    dtype: str  # "int8" or "uint8"

    @property
    def offset(self) -> int:
        """Model's code minus the graph's code."""
        return 128 if self.dtype == "uint8" else 0

    @property
    def code_zero_point(self) -> int:
        """The zero point among the graph's int8 codes."""
        return self.zero_point - self.offset

    def code_of(self, value: float) -> int:
        """The int8 code of a real number (minus and plus infinity: the extreme codes)."""
        if math.isinf(value):
            return CODE_MIN if value < 0 else CODE_MAX
        code = quantize(np.array(value, np.float32), self.scale, self.zero_point, self.dtype)
        return int(code) - self.offset


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clamp of real values that the next QuantizeLinear turns into a clamp of codes."""

    low: float = -math.inf
    high: float = math.inf

    def then(self, low: float, high: float) -> "Clip":
        """This clamp followed by another one."""
        return Clip(low=min(max(self.low, low), high), high=min(max(self.high, low), high))


NO_CLIP = Clip()


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A constant array."""

    array: np.ndarray

    @property
    def shape(self) -> Shape:
        return self.array.shape


@dataclass(frozen=True, kw_only=True)
class QuantisedConstant:
    """A dequantised constant: (codes - zero_point) * scale.

    codes: int64; scale (float32) and zero_point (int64) broadcast against codes.
    """

    codes: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray

    @property
    def shape(self) -> Shape:
        return self.codes.shape

    @property
    def centred(self) -> np.ndarray:
        """Codes with their zero point subtracted, int64."""
        return self.codes - self.zero_point

    @property
    def real(self) -> np.ndarray:
        """The values, float64."""
        return self.centred * self.scale.astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class HostInput:
    """An input of the model that is not yet a tensor of the graph."""

    name: str
    dtype: str
    model_shape: Shape
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The integer codes of a tensor of the graph, perhaps in another shape."""

    tensor: str
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class Real:
    """The dequantised values of a tensor, perhaps clamped."""

    tensor: str
    shape: Shape
    node: str  # who made it, for messages
    clip: Clip = NO_CLIP


@dataclass(frozen=True, kw_only=True)
class HostResult:
    """Values that the host computes after the accelerator. integer: they are codes again."""

    tensor: str
    shape: Shape
    steps: tuple[HostStep, ...]
    integer: bool = False


@dataclass(frozen=True, kw_only=True)
class Pending(ABC):
    """A real-valued result whose operator is made once its QuantizeLinear is met.

    own_shape: what the operator gives; shape: the same elements after Flatten and the like.
    """

    node: str
    op: str
    own_shape: Shape
    shape: Shape
    clip: Clip = NO_CLIP

    @abstractmethod
    def operator(self, builder: "Builder", output: Tensor, result: Quantisation) -> Operator:
        """The operator that writes ``output``, clamped as ``codes_range`` says."""

    def codes_range(self, result: Quantisation) -> dict[str, Any]:
        """The clamp in codes, as keyword arguments of an Operator."""
        return {"low": result.code_of(self.clip.low), "high": result.code_of(self.clip.high)}


Symbol = Constant | QuantisedConstant | HostInput | Codes | Real | HostResult | Pending


def chw(shape: Shape) -> tuple[int, int, int] | None:
    """[C, H, W] of an ONNX shape with its batch; None where there is no such reading."""
    match shape[1:]:
        case ():
            return (1, 1, 1)
        case (c,):
            return (c, 1, 1)
        case (c, length):
            return (c, 1, length)
        case (c, h, w):
            return (c, h, w)
        case _:
            return None
