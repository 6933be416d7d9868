"""The whole engine in Amaranth's simulator: two steps side by side, every bit and every cycle."""

from typing import Any

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.hw.support import simulate
from tests.mapper.support import chains
from tests.mapper.support import engine as spec
from weft.engines.overlapped.rtl import OverlappedEngine
from weft.gen.data import random_inputs
from weft.machine import timing
from weft.machine.encode import image_writes, registers
from weft.machine.engine import Engine, Style, Styles, Unit
from weft.machine.layout import pack_inputs, unpack_outputs
from weft.machine.plan import Drain, Plan
from weft.machine.target import Target
from weft.mapper.build import build
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.reference import run
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window

TARGET = Target(name="any", family="ecp5", lut=1, ff=1, dsp=1, bram=1, clock_hz=25e6)
ZERO_POINTS = (-7, 3, 12, -128, 0, 90)


def network(
    seed: int, shape: tuple[int, int, int], *layers: tuple[int | None, Window], limit: int = 127
) -> Graph:
    """Convolutions one after the other: (output channels, None for depthwise, and window)."""
    rng = np.random.default_rng(seed)
    tensors = [Tensor(name="t0", shape=shape, scale=1.0, zero_point=ZERO_POINTS[0])]
    operators: list[Conv] = []
    for i, (n_out, window) in enumerate(layers, 1):
        before = tensors[-1].shape
        groups = before[0] if n_out is None else 1
        n_out = n_out or before[0]
        size = (n_out, before[0] // groups, *window.kernel)
        tensors.append(
            Tensor(
                name=f"t{i}",
                shape=(n_out, *window.output_size(*before[1:])),
                scale=1.0,
                zero_point=ZERO_POINTS[i],
            )
        )
        spread = 5000 * np.sqrt(np.prod(size[1:]))
        operators.append(
            Conv(
                name=f"c{i}",
                output=f"t{i}",
                input=f"t{i - 1}",
                weight=rng.integers(-limit, limit + 1, size).astype(np.int16),
                bias=rng.integers(-1 << 12, 1 << 12, n_out),
                scaling=scaling_of(rng.uniform(0.3, 2, n_out) * 100 / spread),
                window=window,
                groups=groups,
            )
        )
    edges = [
        HostEdge(name=name, tensor=name, shape=(1,), dtype="int8", steps=())
        for name in (tensors[0].name, tensors[-1].name)
    ]
    return Graph(
        name="n",
        inputs=(edges[0],),
        outputs=(edges[1],),
        tensors=tuple(tensors),
        operators=tuple(operators),
    )


def infer(plan: Plan, inputs: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Writes the images, then runs samples int8 [S, words, K]; output words and cycle counts."""
    params = plan.engine
    dut = OverlappedEngine(params)
    assert registers(plan) != dut.registers  # so that their image is needed
    outputs = np.zeros((len(inputs), plan.outputs.words, params.lanes), dtype=np.int8)
    counts = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.image_valid, 1)
        for address, value in image_writes(plan).tolist():
            ctx.set(dut.image, {"address": address, "data": value})
            await ctx.tick()
        ctx.set(dut.image_valid, 0)
        ctx.set(dut.o.ready, 1)
        for sample, words in enumerate(inputs):
            for word in words:
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, int.from_bytes(word.tobytes(), "little"))
                await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.start_valid, 1)
            await ctx.tick().until(dut.start_ready)
            ctx.set(dut.start_valid, 0)
            busy = 0
            while ctx.get(dut.busy):
                busy += 1
                await ctx.tick()
            for i in range(plan.outputs.words):
                (word,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
                data = int(word).to_bytes(params.lanes, "little")
                outputs[sample, i] = np.frombuffer(data, dtype=np.int8)
            counts.append(ctx.get(dut.cycles))
            assert counts[-1] == busy

    simulate(dut, bench)
    return outputs, counts


def check(graph: Graph, engine: Engine, samples: int = 1, level: int = 0) -> Plan:
    """Runs a network; outputs must equal the reference, cycles the prediction."""
    plan = build(graph, TARGET, engine, level)
    codes = random_inputs(graph, samples, 1)
    words, counts = infer(plan, pack_inputs(plan.inputs, codes, engine.lanes))
    assert counts == [timing.cycles(plan)] * samples
    expected = run(graph, codes)
    for name, actual in unpack_outputs(plan.outputs, words).items():
        np.testing.assert_array_equal(actual, expected[name])
    return plan


def square(kernel: int, **fields: Any) -> Window:
    """A quadratic window with as much padding as keeps the image's size at stride 1."""
    before, after = (kernel - 1) // 2, kernel // 2
    return Window(kernel=(kernel, kernel), pads=(before, before, after, after), **fields)


ENGINES = [
    spec(4, 4, 2, 1, 3),
    spec(3, 6, 3, 1).replace(styles=Styles(array=Style.LUT, vector=Style.LUT, requant=Style.LUT)),
    spec(8, 4, 2, 4, 3).replace(styles=Styles(array=Style.PACKED)),
    spec(4, 10, 2, 2, 2).replace(weight_bits=9),
]
IDS = ["4x4", "3x6-lut", "8x4-packed", "4x10-w9"]


@pytest.mark.parametrize("engine", ENGINES, ids=IDS)
def test_vector_follows_array(engine: Engine) -> None:
    limit = 255 if engine.weight_bits == 9 else 127
    layers = ((6, square(3)), (None, square(3)))
    plan = check(network(1, (5, 4, 4), *layers, limit=limit), engine, samples=2)
    assert [step.unit for step in plan.steps] == [Unit.ARRAY, Unit.VECTOR]
    assert plan.steps[1].follow is not None
    assert plan.steps[1].output.rolling == (engine.vector_taps == 3)
    assert {step.write.bank for step in plan.steps} == {0, 1}


@pytest.mark.parametrize("engine", ENGINES, ids=IDS)
def test_array_follows_vector(engine: Engine) -> None:
    layers = ((None, square(2, stride=(1, 2))), (7, square(1)))
    plan = check(network(2, (9, 3, 6), *layers), engine)
    assert [step.unit for step in plan.steps] == [Unit.VECTOR, Unit.ARRAY]
    assert plan.steps[1].follow is not None


@pytest.mark.parametrize("requant", [1, 2, 4])
@pytest.mark.parametrize("kernel_rows", [1, 2])
def test_rolling_with_holds(kernel_rows: int, requant: int) -> None:
    """A tile's results take longer to leave than its columns to read; sums must survive that."""
    engine = spec(4, 4, 2, requant, 3)
    window = Window(kernel=(kernel_rows, 3), pads=(0, 1, 0, 1))
    plan = check(network(3, (6, 3, 5), (None, window), (5, square(1))), engine)
    assert plan.steps[0].output.rolling
    assert (plan.steps[0].loops.hold > 0) == (requant * kernel_rows < 4)


def test_steps_one_after_the_other() -> None:
    """Two steps of one unit, before or after one that runs beside the first or second of them."""
    layers = ((6, square(1)), (5, square(3)), (None, square(3, stride=(2, 2))))
    plan = check(network(4, (3, 4, 4), *layers), ENGINES[0])
    assert [step.follow is not None for step in plan.steps] == [False, False, True]
    layers = ((None, square(2)), (5, square(1)), (6, square(1)))
    plan = check(network(5, (3, 4, 4), *layers), ENGINES[0])
    assert [step.follow is not None for step in plan.steps] == [False, True, False]
    # The last step writes the bank of the vector unit, which has none any more.
    assert plan.steps[0].write.bank == plan.steps[2].write.bank


POINT = Window(kernel=(1, 1))
CHAINS: dict[str, tuple[tuple[int, int, int], tuple[Any, ...], set[str]]] = {
    "three": (
        (5, 4, 4),
        ((6, square(2)), (9, square(1)), (7, square(2))),
        {"image", "after a chained step"},
    ),
    "fully-connected": (
        (36, 1, 1),
        ((33, POINT), (40, POINT), (8, POINT)),
        {"fully connected", "after a chained step"},
    ),
    "after-follow": (
        (9, 4, 4),
        ((None, square(3)), (10, square(1)), (4, square(2))),
        {"image", "after a step that follows"},
    ),
    "before-follow": (
        (9, 4, 4),
        ((7, square(1)), (9, square(2)), (None, square(2))),
        {"image", "before a step that follows"},
    ),
    "across": (
        (9, 4, 4),
        ((7, square(1)), (9, square(2)), (None, square(2)), (9, square(1)), (7, square(1))),
        {"image", "after a step that follows", "before a step that follows"},
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chained_steps(name: str) -> None:
    shape, layers, expected = CHAINS[name]
    plan = check(network(6, shape, *layers), ENGINES[0], samples=2)
    assert chains(plan) >= expected


def test_one_chained_step_drains_at_a_time() -> None:
    """Three convolutions of one image: the third is ready before the first one has drained."""
    net = Layers(rng=np.random.default_rng(0), wide_weights=False)
    source = net.input((20, 3, 3))
    first = net.conv(source, 3, 1, square(3))
    second = net.conv(source, 2, 1, Window(kernel=(1, 1), stride=(3, 3)))
    graph = net.graph("branches", [first, second, net.conv(source, 2, 1, square(3))])
    engine = spec(16, 2, 2, 1)
    plan = check(graph, engine, samples=2)
    assert "once the step before the last has drained" in chains(plan)


TOO_EARLY = {
    "data": ((64, 1, 1), ((64, POINT), (8, POINT))),
    "output-path": ((4, 4, 4), ((6, square(3)), (5, Window(kernel=(1, 1), stride=(4, 4))))),
    "front": ((8, 4, 4), ((8, square(3)), (5, square(3)))),
}


@pytest.mark.parametrize("name", TOO_EARLY)
def test_a_gap_one_cycle_shorter_gives_wrong_results(name: str) -> None:
    """The gaps are not longer than the hardware needs."""
    shape, layers = TOO_EARLY[name]
    graph = network(7, shape, *layers)
    plan = build(graph, TARGET, ENGINES[0], 0)
    first, second = plan.steps
    assert second.gap is not None
    early = plan.replace(steps=(first, second.replace(after=(Drain(step=0, gap=second.gap - 1),))))
    assert timing.cycles(early) == timing.cycles(plan) - 1
    codes = random_inputs(graph, 1, 1)
    words, _ = infer(early, pack_inputs(early.inputs, codes, early.engine.lanes))
    (actual,) = unpack_outputs(plan.outputs, words).values()
    assert (actual != run(graph, codes)["t2"]).any()
