"""Cycle-exact stimulus and response, shared by the unit tests of components."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from amaranth.lib import data
from amaranth.sim import Simulator

from weft.engines.compact.spec import CompactSpec
from weft.engines.overlapped.spec import OverlappedSpec
from weft.hw.domain import DATA
from weft.machine.engine import Engine, Memories, Styles

SMALL = OverlappedSpec(
    lanes=4,
    columns=4,
    array_requant=2,
    vector_requant=2,
    accumulator_bits=32,
    memories=Memories(act=(64, 64), weight=16, vector=16, param=(16, 16), program=64),
)


SMALL_COMPACT = CompactSpec(lanes=4, columns=4, accumulator_bits=32, memories=SMALL.memories)


def small_params(base: Engine = SMALL, **changes: Any) -> Engine:
    """A small engine, with some of its fields changed.

    ``X_words`` is the depth of memory X, ``X_multiplier`` the style of X's multipliers.
    """

    def taken(suffix: str) -> dict[str, Any]:
        names = [name for name in changes if name.endswith(suffix)]
        return {name.removesuffix(suffix): changes.pop(name) for name in names}

    memories = base.memories.replace(**taken("_words"))
    return base.replace(memories=memories, styles=Styles(**taken("_multiplier")), **changes)


MAX_CYCLES = 50_000


def simulate(dut: Any, *benches: Callable[[Any], Any], max_cycles: int = MAX_CYCLES) -> None:
    """Runs the test benches side by side, to the end of the last one."""
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_clock(1e-6, domain=DATA, if_exists=True)

    async def deadline(ctx: Any) -> None:
        await ctx.delay(max_cycles * 1e-6)
        raise AssertionError(f"no end after {max_cycles} cycles")

    sim.add_testbench(deadline, background=True)
    for bench in benches:
        sim.add_testbench(bench)
    sim.run()


def mix(rng: random.Random, layout: data.StructLayout, **values: int) -> dict[str, int]:
    """Random values of a layout's fields, but for those given."""
    return {str(name): rng.getrandbits(field.width) for name, field in layout} | values


def play(
    dut: Any, inputs: Iterable[tuple[Any, Sequence[Any]]], outputs: Sequence[Any], n_cycles: int
) -> list[tuple[int, ...]]:
    """Values of ``outputs`` in each cycle, while ``inputs`` take theirs one cycle after another.

    inputs: (signal, its value in cycle 0, 1, ...); after its last value a signal stays. A cycle's
    outputs are those just before the clock edge that ends it.
    """
    rows: list[tuple[int, ...]] = []

    async def bench(ctx: Any) -> None:
        feeds = [(signal, list(values)) for signal, values in inputs]
        for t in range(n_cycles):
            for signal, values in feeds:
                if t < len(values) and (t == 0 or values[t] != values[t - 1]):
                    ctx.set(signal, values[t])
            _clk, _rst, *values = await ctx.tick().sample(*outputs)
            rows.append(tuple(values))

    simulate(dut, bench)
    return rows


def pack(values: Iterable[int], bits: int) -> int:
    """Numbers of ``bits`` bits as one word, the first one lowest."""
    return sum((v & (1 << bits) - 1) << i * bits for i, v in enumerate(values))
