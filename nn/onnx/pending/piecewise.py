"""A table of 256 codes as operators of the graph, exact at each of them (C17, C26).

A function that is straight on either side of zero (LeakyRelu, PRelu) is a Rescale for each side,
clamped at the output's zero point, so that their sum is the one that is not there. Any other is a
polyline: two convolutions (``weft.nn.onnx.pending.polyline``).
"""

import math
from dataclasses import dataclass

import numpy as np

from weft.nn.ir.numerics import requantise, scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.origin import Origin
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN, Tensor
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.factors import neighbours
from weft.nn.onnx.pending.polyline import Polyline, polyline
from weft.nn.onnx.symbols import Quantisation

SHIFT = 24  # of the Add, whose factors are 1


def piecewise(
    builder: Builder,
    origin: Origin,
    source: Tensor,
    codes: np.ndarray,
    output: Tensor,
    result: Quantisation,
    clamp: tuple[int, int],
    most: float = math.inf,
) -> Operator | None:
    """The operator that writes ``output``; what it reads is added to the builder.

    codes: int64 [1 or C, 256], for the source's codes -128..127, clamped. None where more than
    ``most`` codes would lie in between.
    """
    straight = two_sided(builder, origin, source, codes, output, result, clamp)
    if straight is not None:
        return straight
    zero_point = result.code_zero_point
    kinds, of = np.unique(codes - zero_point, axis=0, return_inverse=True)
    drawn = [polyline(kind, clamp[0] - zero_point, clamp[1] - zero_point) for kind in kinds]
    channels, count = source.shape[0], max(len(item.knots) for item in drawn)
    if count * math.prod(source.shape) > most:
        return None
    of = np.broadcast_to(of.reshape(-1), channels)
    hidden = _hinges(builder, origin, source, [drawn[kind] for kind in of], output.name)
    weight = np.zeros((channels, count, 1, 1), np.int16)
    for channel, kind in enumerate(of):
        weight[channel, : len(drawn[kind].weights), 0, 0] = drawn[kind].weights
    points = np.array([item.point for item in drawn])
    factors = 2.0 ** -(points if len(drawn) == 1 else points[of])
    return Conv(
        name=origin.name,
        output=output.name,
        input=hidden,
        weight=weight,
        bias=np.array([drawn[kind].start for kind in of], np.int64),
        scaling=scaling_of(factors),
        window=Window(kernel=(1, 1)),
        groups=channels,
        low=clamp[0],
        high=clamp[1],
    )


def _hinges(
    builder: Builder, origin: Origin, source: Tensor, drawn: list[Polyline], output: str
) -> str:
    """The tensor [C * n, H, W] of max(code - knot, 0), a channel's n side by side.

    Channels with fewer repeat their last one, which counts nothing there.
    """
    channels, count = source.shape[0], max(len(item.knots) for item in drawn)
    knots = [np.pad(item.knots, (0, count - len(item.knots)), mode="edge") for item in drawn]
    quantisation = Quantisation(scale=1.0, zero_point=CODE_MIN, dtype="int8")
    tensor = Tensor(
        name=builder.names.new(f"{output}_hinges"),
        shape=(channels * count, *source.shape[1:]),
        scale=1.0,
        zero_point=CODE_MIN,
    )
    operator = Conv(
        name=builder.operator_names.new(f"{origin.name}_hinges"),
        output=tensor.name,
        input=source.name,
        weight=np.ones((channels * count, 1, 1, 1), np.int16),
        bias=source.zero_point - np.concatenate(knots),
        scaling=scaling_of(1.0),
        window=Window(kernel=(1, 1)),
        groups=channels,
    )
    builder.add(origin, operator, tensor, quantisation)
    return tensor.name


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A line from zero on. upwards: its results are not below zero; rises: nor its slope.

    factors: float32 [1] or [C], not negative.
    """

    upwards: bool
    rises: bool
    factors: np.ndarray

    def operator(
        self, node: str, source: Tensor, output: Tensor, low: int, high: int
    ) -> Conv | Rescale:
        """What computes it, within a clamp and with nothing on the other side."""
        zero_point = output.zero_point
        bounds = (max(low, zero_point), high) if self.upwards else (low, min(high, zero_point))
        name, target = source.name, output.name
        scaling = scaling_of(self.factors)
        if self.rises and self.factors.size == 1:
            return Rescale(
                name=node, output=target, input=name, scaling=scaling, low=bounds[0], high=bounds[1]
            )
        channels = source.shape[0]
        return Conv(
            name=node,
            output=target,
            input=name,
            weight=np.full((channels, 1, 1, 1), 1 if self.rises else -1, np.int16),
            bias=np.zeros(channels, np.int64),
            scaling=scaling,
            window=Window(kernel=(1, 1)),
            groups=channels,
            low=bounds[0],
            high=bounds[1],
        )


def two_sided(
    builder: Builder,
    origin: Origin,
    source: Tensor,
    codes: np.ndarray,
    output: Tensor,
    result: Quantisation,
    clamp: tuple[int, int],
) -> Operator | None:
    """The operator that gives exactly these codes; None where two lines do not.

    codes: int64 [1 or C, 256], for the source's codes -128..127, clamped. What it reads is added to
    the builder.
    """
    low, high = clamp
    zero_point = result.code_zero_point
    x = np.arange(CODE_MIN, CODE_MAX + 1) - source.zero_point
    if not low <= zero_point <= high or np.any(codes[:, x == 0] != zero_point):
        return None
    found = [_sides(x[there], codes[:, there], zero_point, clamp) for there in (x > 0, x < 0)]
    if found[0] is None or found[1] is None:
        return None
    sides = [*found[0], *found[1]] or [
        _Side(upwards=True, rises=True, factors=np.zeros(1, np.float32))
    ]
    if len(sides) == 1:
        return sides[0].operator(origin.name, source, output, low, high)
    names = []
    for index, side in enumerate(sides):
        part = output.replace(name=builder.names.new(f"{output.name}_part{index}"))
        name = builder.operator_names.new(f"{origin.name}_part{index}")
        operator = side.operator(name, source, part, CODE_MIN, CODE_MAX)
        builder.add(origin, operator, part, result)
        names.append(part.name)
    total = names[0]
    for index, name in enumerate(names[1:-1]):
        part = output.replace(name=builder.names.new(f"{output.name}_sum{index}"))
        adder = builder.operator_names.new(f"{origin.name}_sum{index}")
        builder.add(origin, _sum(adder, total, name, part.name), part, result)
        total = part.name
    return _sum(origin.name, total, names[-1], output.name).replace(low=low, high=high)


def _sum(node: str, a: str, b: str, output: str) -> Add:
    one = 1 << SHIFT
    return Add(name=node, output=output, a=a, b=b, multipliers=(one, one), shift=SHIFT)


def _sides(
    x: np.ndarray, codes: np.ndarray, zero_point: int, clamp: tuple[int, int]
) -> list[_Side] | None:
    """The lines that give each row's codes for ``x``, all above or all below zero.

    Rows that rise are apart from rows that fall, each with a factor of 0 in the other one.
    """
    results = codes - zero_point
    ways = np.stack([(results < 0).any(axis=1), (results > 0).any(axis=1)])
    if ways.all(axis=0).any():
        return None
    sides = []
    for upwards in (False, True):
        rows = ways[int(upwards)]
        if not rows.any():
            continue
        factors = [
            _factor(np.abs(x), row, zero_point, upwards, clamp) if there else np.float32(0)
            for row, there in zip(codes, rows, strict=True)
        ]
        if None in factors:
            return None
        rises = upwards == bool(x[0] > 0)
        kinds = factors[:1] if len(set(factors)) == 1 else factors
        sides.append(_Side(upwards=upwards, rises=rises, factors=np.array(kinds, np.float32)))
    return sides


def _factor(
    distance: np.ndarray, codes: np.ndarray, zero_point: int, upwards: bool, clamp: tuple[int, int]
) -> np.float32 | None:
    """A factor that gives one row's codes; None where there is none."""
    sign = 1 if upwards else -1
    steps = sign * (codes - zero_point)
    inner = (codes > max(clamp[0], CODE_MIN)) & (codes < min(clamp[1], CODE_MAX))
    # A factor f gives the step n for x where n - 1/2 <= f x <= n + 1/2.
    floor = float(np.max(((steps - 0.5) / distance)[steps > 0], initial=0))
    roof = float(np.min(((steps + 0.5) / distance)[inner], initial=np.inf))
    middle = np.float32(floor * 1.5 if np.isinf(roof) else (floor + roof) / 2)
    for candidate in (middle, *neighbours(np.float32(floor)), *neighbours(np.float32(roof))):
        if not np.isfinite(candidate):
            continue
        acc = (sign * distance).reshape(1, 1, 1, -1)
        got = requantise(acc, scaling_of(candidate), zero_point, *clamp).reshape(-1)
        if np.array_equal(got, codes):
            return candidate
    return None
