"""The integer graph: int8 tensors of shape [C, H, W] and the exact operators between them.

A batch is always one. Tensors of one dimension (fully connected layers) are [C, 1, 1]. All codes
are int8: an importer stores uint8 codes shifted by -128, together with their zero point, and the
host edges shift back. What each operator computes is defined in ``weft.nn.reference`` and written
down in ``docs/ops.md``.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.value import Value

CODE_MIN, CODE_MAX = -128, 127


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor(Value):
    """One int8 tensor [C, H, W]; real value = (code - zero_point) * scale."""

    name: str
    shape: tuple[int, int, int]
    scale: float  # the float32 of the model, exactly
    zero_point: int  # in int8 codes, -128..127

    def _check(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"tensor {self.name!r} must have shape [C, H, W], not {self.shape}")
        if not CODE_MIN <= self.zero_point <= CODE_MAX:
            raise ValueError(f"tensor {self.name!r}: zero point {self.zero_point} is not int8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaling(Value):
    """Per-channel rescale factors ``mantissa * 2**-shift``: float32 numbers kept as integers.

    mantissa: int64 [n], each 0 or in [2**23, 2**24); shift: int64 [n]. n is the number of output
    channels, or 1 for one factor for all.
    """

    mantissa: np.ndarray
    shift: np.ndarray

    def _check(self) -> None:
        m = self.mantissa
        if m.ndim != 1 or m.shape != self.shift.shape:
            raise ValueError("Scaling: mantissa and shift must be vectors of one length")
        if not np.all((m == 0) | ((m >= 1 << 23) & (m < 1 << 24))):
            raise ValueError("Scaling: every mantissa must be 0 or in [2**23, 2**24)")
        if self.shift.dtype != np.int64 or np.any(np.abs(self.shift) > 200):  # float32: -104..172
            raise ValueError("Scaling: every shift must be an int64 of -200..200")


@dataclass(frozen=True, kw_only=True, eq=False)
class Window(Value):
    """A sliding window: (height, width) pairs; pads are (top, left, bottom, right).

    stretch: the image's rows and columns lie that far apart, with padding between them (a
    transposed convolution). Pads are those of the stretched image; negative ones cut it.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    stretch: tuple[int, int] = (1, 1)

    def _check(self) -> None:
        if min(*self.kernel, *self.stride, *self.dilation, *self.stretch) < 1:
            raise ValueError(f"window out of range: {self}")

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Output (height, width) for an input of that size."""
        t, left, b, r = self.pads
        reach_y = self.dilation[0] * (self.kernel[0] - 1) + 1
        reach_x = self.dilation[1] * (self.kernel[1] - 1) + 1
        size_y = (height - 1) * self.stretch[0] + 1 + t + b
        size_x = (width - 1) * self.stretch[1] + 1 + left + r
        return (
            (size_y - reach_y) // self.stride[0] + 1,
            (size_x - reach_x) // self.stride[1] + 1,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Operator(Value):
    """Base of all operators. ``low, high`` clamp the output codes (a folded Relu or Clip)."""

    name: str  # of the ONNX node it came from
    output: str
    low: int = CODE_MIN
    high: int = CODE_MAX

    type: ClassVar[str]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads, in order."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Operator):
    """2-D convolution; a fully connected layer is a 1x1 convolution on a 1x1 image.

    weight: int16 [C_out, C_in / groups, kh, kw], zero point already subtracted (so -255..255);
    bias: int64 [C_out], at scale s_x * s_w[c]; scaling: s_x * s_w[c] / s_y per output channel.
    Padding feeds the input's zero point.
    """

    type: ClassVar[str] = "Conv"
    input: str
    weight: np.ndarray
    bias: np.ndarray
    scaling: Scaling
    window: Window
    groups: int = 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Operator):
    """y = a * s_a/s_y + b * s_b/s_y with both factors as integers over one shift.

    multipliers: the two factors times 2**shift, each 0..2**32-1, the second one negative where b is
    subtracted; shift: 24, 32, 40, 48 or 56.
    """

    type: ClassVar[str] = "Add"
    a: str
    b: str
    multipliers: tuple[int, int]
    shift: int
    zero_point_inside: bool = True  # ties go to the even code, not to the even distance from zp

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.a, self.b)


@dataclass(frozen=True, kw_only=True, eq=False)
class Mul(Operator):
    """y = a * b, rescaled; b has a's shape, or one element per channel (a gate)."""

    type: ClassVar[str] = "Mul"
    a: str
    b: str
    scaling: Scaling  # of length 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.a, self.b)


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Operator):
    """Maximum over a window; input and output have one scale and zero point."""

    type: ClassVar[str] = "MaxPool"
    input: str
    window: Window

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Operator):
    """Mean over a window, rescaled; a global pool is a window of the whole image.

    ``scalings[i]`` belongs to windows of ``counts[i]`` averaged elements, factor
    s_x / (counts[i] * s_y). Where padding counts as elements, counts holds one number.
    """

    type: ClassVar[str] = "AveragePool"
    input: str
    window: Window
    counts: tuple[int, ...]
    scalings: tuple[Scaling, ...]  # each of length 1
    include_pad: bool = False
    zero_point_inside: bool = False  # ties go to the even code, not to the even distance from zp

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rescale(Operator):
    """The same values at another scale, zero point or clamp (Q -> DQ -> Relu -> Q)."""

    type: ClassVar[str] = "Rescale"
    input: str
    scaling: Scaling  # of length 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Operator):
    """Tensors side by side along an axis of [C, H, W], each rescaled to the output's scale."""

    type: ClassVar[str] = "Concat"
    parts: tuple[str, ...]
    scalings: tuple[Scaling, ...]  # one of length 1 per part
    axis: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.parts


@dataclass(frozen=True, kw_only=True, eq=False)
class Move(Operator):
    """Rows and columns of a tensor, in any order and number, at the same scale.

    rows: for each output row the input's, or -1 for one that holds ``fill``; cols likewise.
    swap: the input's height and width change places first.
    """

    type: ClassVar[str] = "Move"
    input: str
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    fill: int = 0
    swap: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(Operator):
    """The same codes in another [C, H, W], element order of the C-contiguous array kept."""

    type: ClassVar[str] = "Reshape"
    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True, kw_only=True, eq=False)
class HostStep(Value):
    """One operation that the host does, before the accelerator (head) or after it (tail).

    kind: "reshape" (shape, per sample, without the batch), "quantize" and "dequantize" (scale,
    zero_point, dtype "int8" or "uint8"), "softmax" (axis, of the array with its batch), "transpose"
    (shape holds the axes, with the batch), "accumulators" (scales and offsets, one per channel;
    its codes follow each other: the sum of code + 128, times the scale, plus the offset),
    "argmax" and "argmax_last" (axis, which stays with size 1: the first and the last place of the
    largest, int64), "cast" (dtype "int32" or "int64").
    """

    kind: str
    shape: tuple[int, ...] = ()
    scale: float = 1.0
    zero_point: int = 0
    dtype: str = "int8"
    axis: int = -1
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class HostEdge(Value):
    """How one input or output of the ONNX model meets a tensor of the graph.

    shape: per sample as the model declares it (no batch). An input's steps lead from the model's
    array [n, *shape] to codes of ``tensor``; an output's steps lead from its codes to the model's
    array. Codes are int8 [n, C, H, W]; where the model's type is uint8 they are shifted by 128 at
    the edge's inner end.
    """

    name: str  # of the ONNX input or output
    tensor: str
    shape: tuple[int, ...]
    dtype: str  # numpy name of the model's array
    steps: tuple[HostStep, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph(Value):
    """A whole network. ``operators`` stand in an order in which they can run."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[
        Conv | Add | Mul | MaxPool | AveragePool | Rescale | Concat | Move | Reshape, ...
    ]
    inputs: tuple[HostEdge, ...]
    outputs: tuple[HostEdge, ...]
    macs: int = 0  # multiply-accumulates of the original network
    notes: tuple[str, ...] = ()  # every approximation, in words, for the report
    unused_inputs: tuple[str, ...] = ()  # of the model, by name: no output depends on them

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name. Raises KeyError."""
        return self._by_name[name]

    def producer(self, name: str) -> Operator | None:
        """The operator that writes a tensor; None for network inputs and unknown names."""
        return self._producers.get(name)

    def consumers(self, name: str) -> tuple[Operator, ...]:
        """The operators that read a tensor."""
        return self._consumers.get(name, ())

    # Made when first asked for: a value never changes, and every stage asks for each name.

    @functools.cached_property
    def _by_name(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in reversed(self.tensors)}

    @functools.cached_property
    def _producers(self) -> dict[str, Operator]:
        return {operator.output: operator for operator in reversed(self.operators)}

    @functools.cached_property
    def _consumers(self) -> dict[str, tuple[Operator, ...]]:
        found: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for name in dict.fromkeys(operator.inputs):
                found.setdefault(name, []).append(operator)
        return {name: tuple(operators) for name, operators in found.items()}


def origin(tensor: str, operators: Iterable[Operator], inputs: Iterable[HostEdge]) -> str:
    """Where a tensor comes from, in words of the model: tensors' names may be invented."""
    for edge in inputs:
        if edge.tensor == tensor:
            return f"the model's input {edge.name!r}"
    maker = next((op.name for op in operators if op.output == tensor), None)
    return f"tensor {tensor!r}" if maker is None else f"the result of node {maker!r}"
