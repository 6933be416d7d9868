"""Targets and small networks that several tests of the mapper share."""

import numpy as np

from tests.e2e.layers import Layers
from weft.engines.common.widths import Widths
from weft.engines.compact.spec import CompactSpec
from weft.engines.kind import Demand
from weft.engines.overlapped.spec import OverlappedSpec
from weft.machine import timing
from weft.machine.plan import Plan
from weft.machine.target import Target
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window

ENDLESS = Target(
    name="endless", family="ecp5", lut=10**8, ff=10**8, dsp=10**6, bram=10**6, clock_hz=25e6
)
ENDLESS_ICE40 = ENDLESS.replace(family="ice40", spram=10**6)
"""The same of a family that takes compact engines."""
ULX3S_85F = Target(
    name="ulx3s-85f", family="ecp5", lut=83640, ff=83640, dsp=156, bram=208, clock_hz=25e6
)


def engine(
    lanes: int, columns: int, array_requant: int = 1, vector_requant: int = 1, taps: int = 1
) -> OverlappedSpec:
    """An engine whose memory depths are still open."""
    return OverlappedSpec(
        lanes=lanes,
        columns=columns,
        array_requant=array_requant,
        vector_requant=vector_requant,
        vector_taps=taps,
    )


def compact(
    lanes: int, columns: int, *, single_port: bool = False, streamed: bool = False
) -> CompactSpec:
    """A compact engine whose memory depths are still open."""
    return CompactSpec(lanes=lanes, columns=columns, single_port=single_port, streamed=streamed)


def demand(*, packable: bool = True, depthwise: bool = False) -> Demand:
    """Of a network with or without weights that keep columns from sharing a multiplier."""
    widths = Widths(accumulator=25, weight=8)
    weights = (-127 if packable else -128, 127)
    return Demand(widths=widths, depthwise=depthwise, weights=weights, array_weights=weights)


def edge(tensor: str, shape: tuple[int, ...] = (1,)) -> HostEdge:
    """An input or output that passes codes."""
    return HostEdge(name=tensor, tensor=tensor, shape=shape, dtype="int8", steps=())


def conv_graph(
    shape: tuple[int, int, int],
    n_out: int,
    window: Window,
    *,
    zero_points: tuple[int, int] = (-7, 3),
    seed: int = 0,
) -> Graph:
    """A network of one convolution ``c`` from ``x`` to ``y`` with random weights."""
    rng = np.random.default_rng(seed)
    size = (n_out, *window.output_size(*shape[1:]))
    weight = rng.integers(-127, 128, (n_out, shape[0], *window.kernel)).astype(np.int16)
    conv = Conv(
        name="c",
        output="y",
        input="x",
        weight=weight,
        bias=rng.integers(-5000, 5000, n_out),
        scaling=scaling_of(rng.uniform(1e-4, 3e-3, n_out)),
        window=window,
    )
    return Graph(
        name="one-conv",
        tensors=(
            Tensor(name="x", shape=shape, scale=1.0, zero_point=zero_points[0]),
            Tensor(name="y", shape=size, scale=1.0, zero_point=zero_points[1]),
        ),
        operators=(conv,),
        inputs=(edge("x", shape),),
        outputs=(edge("y", size),),
        macs=weight.size * size[1] * size[2],
    )


def separable() -> Graph:
    layers = Layers(rng=np.random.default_rng(1), wide_weights=False)
    tensor = layers.input((8, 12, 12))
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    for _ in range(2):
        tensor = layers.conv(tensor, 8, 8, same)
        tensor = layers.conv(tensor, 8, 1, Window(kernel=(1, 1)))
        layers.operators[-2:] = [
            op.replace(weight=np.clip(op.weight, -127, 127))
            for op in layers.operators[-2:]
            if isinstance(op, Conv)
        ]
    return layers.graph("separable", [tensor])


def codes(shape: tuple[int, int, int], samples: int = 2, seed: int = 0) -> np.ndarray:
    """Random codes int8 [samples, C, H, W]."""
    return np.random.default_rng(seed).integers(-128, 128, (samples, *shape), np.int8)


def chains(plan: Plan) -> set[str]:
    """What chained steps meet in a plan; a step counts if it begins before the last result."""
    steps, times = plan.steps, timing.plan_timings(plan)
    found = set()
    for i, step in enumerate(steps):
        if step.gap is None or times[i].begin >= times[i - 1].end:
            continue
        fully_connected = step.loops.n_tiles == step.loops.tiles
        found.add("fully connected" if fully_connected else "image")
        before, after = steps[i - 1], steps[i + 1 : i + 2]
        if before.follow:
            found.add("after a step that follows")
        if before.gap is not None:
            found.add("after a chained step")
            if times[i].begin == times[i - 2].end + 1:
                found.add("once the step before the last has drained")
        for other in after:
            if other.follow and times[i + 1].begin < times[i - 1].end:
                found.add("before a step that follows")
            elif other.follow is None and other.gap is None:
                found.add("before a step that waits")
    return found
