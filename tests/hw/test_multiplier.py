"""Multipliers: every style, corners and random operands, one pair a cycle at the stated latency."""

import random
import re

import pytest
from amaranth.hdl import Shape, signed, unsigned

from tests.hw.support import play
from weft.hw.multiplier import Multiplier
from weft.machine.engine import Style
from weft.machine.timing import multiplier_latency

N_RANDOM = 300

SHAPES = [
    (signed(8), signed(8)),
    (signed(9), signed(8)),
    (unsigned(8), signed(8)),
    (signed(8), unsigned(8)),
    (unsigned(16), signed(9)),
    (unsigned(16), signed(16)),
    (unsigned(16), unsigned(16)),
    (signed(16), signed(16)),
    (signed(5), signed(3)),
    (unsigned(7), unsigned(1)),
]
STYLES = (Style.DSP, Style.LUT)
CASES = [(a, b, style) for a, b in SHAPES for style in STYLES]
CASES += [(a, a, Style.DSP) for a in (signed(18), unsigned(17))]
LATENCY = {(Style.DSP, 8): 2, (Style.DSP, 16): 2, (Style.LUT, 8): 3, (Style.LUT, 16): 4}


def corners(shape: Shape) -> list[int]:
    """Lowest, highest, their neighbours, and what lies around 0."""
    low = -(1 << shape.width - 1) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    return sorted({v for v in (low, low + 1, -1, 0, 1, high - 1, high) if low <= v <= high})


@pytest.mark.parametrize(("a", "b", "style"), CASES, ids=str)
def test_products(a: Shape, b: Shape, style: Style) -> None:
    dut = Multiplier(a, b, style)
    rng = random.Random(1)
    pairs = [(x, y) for x in corners(a) for y in corners(b)]
    for _ in range(N_RANDOM):
        pairs.append((rng.choice(range(*span(a))), rng.choice(range(*span(b)))))
    left, right = zip(*pairs, strict=True)
    latency = LATENCY[style, 8 if b.width <= 8 else 16]
    assert dut.latency == latency
    rows = play(dut, [(dut.a, left), (dut.b, right)], [dut.p], len(pairs) + latency)
    assert [p for (p,) in rows[latency:]] == [x * y for x, y in pairs]


def span(shape: Shape) -> tuple[int, int]:
    low = -(1 << shape.width - 1) if shape.signed else 0
    return low, low + (1 << shape.width)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("rows", range(1, 17))
def test_latency_depends_on_the_second_operand_only_beyond_8_bits(style: Style, rows: int) -> None:
    assert multiplier_latency(style, rows) == LATENCY[style, 8 if rows <= 8 else 16]
    assert Multiplier(signed(8), signed(rows), style).latency == multiplier_latency(style, rows)


@pytest.mark.parametrize("style", [Style.PACKED, Style.DUAL])
def test_shared_ones_are_other_components(style: Style) -> None:
    message = f"Multiplier: {style.value} ones are {style.value.title()}Multiplier's"
    with pytest.raises(ValueError, match=f"^{message}$"):
        Multiplier(signed(8), signed(8), style)


@pytest.mark.parametrize(
    ("a", "b", "style", "message"),
    [
        (signed(19), signed(8), Style.DSP, "operands of (19, 8) bits are too wide for"),
        (signed(8), signed(19), Style.DSP, "operands of (8, 19) bits are too wide for"),
        (signed(8), signed(17), Style.LUT, "operands of (8, 17) bits are too wide for"),
        (unsigned(18), signed(8), Style.DSP, "operands of (18, 8) bits are too wide for"),
        (signed(8), unsigned(18), Style.DSP, "operands of (8, 18) bits are too wide for"),
    ],
)
def test_errors(a: Shape, b: Shape, style: Style, message: str) -> None:
    text = re.escape(f"Multiplier: {message} {style}")
    with pytest.raises(ValueError, match=f"^{text}$"):
        Multiplier(a, b, style)
