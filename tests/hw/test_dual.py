"""Dual multipliers: both products exact and independent, two pairs a cycle."""

import random

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.hw.support import play
from weft.hw.dual import LATENCY, DualMultiplier, dual_products

CORNERS = (-128, -127, -1, 0, 1, 85, 127)


def test_products() -> None:
    rng = random.Random(1)
    pairs = [(a, b) for a in CORNERS for b in CORNERS]
    rows = [(*one, *rng.choice(pairs)) for one in pairs]
    rows += [(*rng.choice(pairs), *one) for one in pairs]
    rows += [tuple(rng.randrange(-128, 128) for _ in range(4)) for _ in range(500)]
    dut = DualMultiplier()
    signals = (dut.a0, dut.b0, dut.a1, dut.b1)
    inputs = list(zip(signals, zip(*rows, strict=True), strict=True))
    got = play(dut, inputs, [dut.p0, dut.p1], len(rows) + LATENCY)
    assert got[LATENCY:] == [(a0 * b0, a1 * b1) for a0, b0, a1, b1 in rows]


class Products(wiring.Component):
    """``dual_products`` of n pairs."""

    def __init__(self, n: int):
        self.n = n
        super().__init__(
            {f"{name}{i}": In(signed(8)) for name in "ab" for i in range(n)}
            | {f"p{i}": Out(signed(16)) for i in range(n)}
        )

    def port(self, name: str) -> Signal:
        return getattr(self, name)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operands = [(self.port(f"a{i}"), self.port(f"b{i}")) for i in range(self.n)]
        for i, product in enumerate(dual_products(m, operands, "mul")):
            m.d.comb += self.port(f"p{i}").eq(product)
        return m


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_neighbours_share_a_multiplier(n: int) -> None:
    dut = Products(n)
    pairs = [(7 * i - 11, 5 - 3 * i) for i in range(n)]
    inputs = [(dut.port(f"a{i}"), [a]) for i, (a, _) in enumerate(pairs)]
    inputs += [(dut.port(f"b{i}"), [b]) for i, (_, b) in enumerate(pairs)]
    rows = play(dut, inputs, [dut.port(f"p{i}") for i in range(n)], LATENCY + 1)
    assert rows[LATENCY] == tuple(a * b for a, b in pairs)
    m = Module()
    dual_products(m, [(0, 0)] * n, "mul")
    assert len(m._named_submodules) == -(-n // 2)
