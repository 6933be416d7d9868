"""The w4 kind: its operands are exact, and the search takes it where all weights fit."""

import itertools

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, Signal, signed
from amaranth.lib import data

from tests.hw.support import play
from tests.mapper.support import ENDLESS, conv_graph
from weft.engines.w4.row import BITS, PAIR_ROW, SHIFT
from weft.engines.w4.rtl import products
from weft.engines.w4.spec import W4Spec
from weft.machine.engine import Style, Styles
from weft.mapper.search import plan
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.window import Window

WEIGHTS = range(-7, 8)
ACTS = (-128, -127, -65, -1, 0, 1, 2, 85, 127)


class Row(Elaboratable):
    """A row of three columns: a pair, and one with a multiplier to itself."""

    def __init__(self) -> None:
        self.params = W4Spec(lanes=1, columns=3)
        self.weights = Signal(2 * 2 * BITS)
        self.act = Signal(signed(8))
        self.products = [Signal(signed(16), name=f"product_{n}") for n in range(3)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fields = data.View(data.ArrayLayout(signed(2 * BITS), 2), self.weights)
        found = products(m, self.params, "mul", self.act, fields)
        m.d.comb += [p.eq(q) for p, q in zip(self.products, found, strict=True)]
        return m


def test_the_halves_are_the_operand() -> None:
    """All pairs: the upper half, ten copies of the lower one's sign, the lower half."""
    pairs = np.array(list(itertools.product(WEIGHTS, WEIGHTS)))
    fields = PAIR_ROW.pack(pairs)[:, 0] & (1 << 2 * BITS) - 1
    low, high = fields & (1 << BITS) - 1, fields >> BITS
    middle = np.where(low >> BITS - 1, (1 << SHIFT) - (1 << BITS), 0)
    number = (high << SHIFT) + middle + low
    number -= (number >> SHIFT + BITS - 1) << SHIFT + BITS
    np.testing.assert_array_equal(number, (pairs[:, 1] << SHIFT) + pairs[:, 0])


def test_products_are_exact() -> None:
    dut = Row()
    weights = np.array([(a, b, b) for a, b in itertools.product(WEIGHTS, WEIGHTS)])
    words = PAIR_ROW.pack(weights) & (1 << 2 * BITS) - 1
    cases = [
        (w, int(x) + (int(y) << 2 * BITS), act)
        for w, (x, y) in zip(weights, words, strict=True)
        for act in ACTS
    ]
    inputs = [(dut.weights, [word for _, word, _ in cases]), (dut.act, [act for *_, act in cases])]
    rows = play(dut, inputs, dut.products, len(cases) + PAIR_ROW.latency)
    expected = [tuple(int(w) * act for w in of) for of, _, act in cases]
    assert rows[PAIR_ROW.latency :] == expected


@pytest.mark.parametrize(
    ("largest", "kind"), [(7, "w4"), (-7, "w4"), (8, "overlapped"), (-8, "overlapped")]
)
def test_the_weights_choose(largest: int, kind: str) -> None:
    graph = conv_graph((16, 8, 8), 16, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    conv = graph.operators[0]
    assert isinstance(conv, Conv)
    weight = np.clip(conv.weight, -7, 7)
    weight.flat[0] = largest
    found = plan(graph.replace(operators=(conv.replace(weight=weight),)), ENDLESS)
    assert found.engine.kind == kind


def test_the_array_is_of_dsp_blocks() -> None:
    with pytest.raises(
        ValueError, match=r"^the array of a w4 engine is made of DSP blocks, not lut$"
    ):
        W4Spec(lanes=2, columns=2, styles=Styles(array=Style.LUT))
