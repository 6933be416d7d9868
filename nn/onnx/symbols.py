"""What an importer knows about each value of an ONNX graph while it walks the nodes.

Shapes here are ONNX's, with the batch in front, which is always 1. A value may be a view of its
tensor (or of its own array): ``order`` lists the flat positions of the tensor's elements in the
view's order, None where that is the tensor's own (see ``weft.nn.onnx.views``).
"""

import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.nn.ir.host_steps import AnyHostStep, quantize
from weft.nn.ir.origin import Origin
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN
from weft.nn.onnx.views import Order, Shape


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


NOISE = 2.0**-18


class Rounding(enum.Enum):
    """How a real number of steps becomes a code."""

    EVEN = "ROUND"  # to the nearest, ties to the even one
    FLOOR = "FLOOR"
    CEIL = "CEIL"
    SIGN = "SIGN"  # 1 from zero on, else -1

    def round(self, steps: np.ndarray) -> np.ndarray:
        """Whole steps, still as floats; what is whole but for float32's noise stays."""
        match self:
            case Rounding.EVEN:
                return np.rint(steps)
            case Rounding.FLOOR:
                return np.floor(steps + NOISE)
            case Rounding.CEIL:
                return np.ceil(steps - NOISE)
            case Rounding.SIGN:
                return np.where(steps >= 0, 1.0, -1.0)


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

    codes: int64; scale (float32) and zero_point (int64) broadcast against codes. dtype: of the
    codes in the model, '' where they are from elsewhere.
    """

    codes: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray
    dtype: str = ""

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
    order: Order = None


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The integer codes of a tensor of the graph, perhaps in another shape."""

    tensor: str
    shape: Shape
    order: Order = None


@dataclass(frozen=True, kw_only=True)
class Real:
    """The dequantised values of a tensor, perhaps clamped."""

    tensor: str
    shape: Shape
    origin: Origin  # who made it
    clip: Clip = NO_CLIP
    order: Order = None


@dataclass(frozen=True, kw_only=True)
class HostResult:
    """Values that the host computes after the accelerator. integer: they are codes again."""

    tensor: str
    shape: Shape
    steps: tuple[AnyHostStep, ...]
    integer: bool = False

    @property
    def dtype(self) -> str:
        """NumPy's name of the values' type; that of codes that no step made is not known here."""
        made = (step.gives for step in reversed(self.steps) if step.gives is not None)
        return next(made, "int8") if self.integer else "float32"


@dataclass(frozen=True, kw_only=True)
class Unquantised:
    """A real-valued result that its QuantizeLinear has still to make an operator of.

    own_shape: what the operator gives; shape: the same elements after Flatten and the like.
    rounding: how its quantisation rounds; only QONNX knows others than half to even.
    """

    origin: Origin
    own_shape: Shape
    shape: Shape
    clip: Clip = NO_CLIP
    order: Order = None
    rounding: Rounding = Rounding.EVEN

    def codes_range(self, result: Quantisation) -> dict[str, Any]:
        """The clamp in codes, as keyword arguments of an Operator."""
        return {"low": result.code_of(self.clip.low), "high": result.code_of(self.clip.high)}


Symbol = Constant | QuantisedConstant | HostInput | Codes | Real | HostResult | Unquantised


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
