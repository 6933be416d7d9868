"""An output path end to end: sums of tiles become bytes in activation memory, to the cycle."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.hw.support import SMALL, SMALL_COMPACT, mix, simulate, small_params
from weft.engines.common.pack import BIAS_OFFSET, param_groups
from weft.hw.output import OutputPath
from weft.hw.sequencer import FLAGS
from weft.machine.encode import parameters
from weft.machine.engine import Engine, Style, Unit
from weft.machine.plan import Params
from weft.machine.timing import requant_latency, unit_latency
from weft.nn.ir.numerics import Scaling, requantise, round_scaled, scaling_of

ROWS, COLS = 2, 3
OUT_WORD, PARAM_BASE = 9, 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """An engine's output path and one step of 2 x 3 pixels."""

    unit: Unit
    lanes: int = 4
    columns: int = 4
    requant: int = 2
    channels: int = 7
    gap: int = 0  # idle cycles at most between the tiles' ends
    bits: int = 25
    style: Style = Style.DSP
    odd: bool = False
    pair: bool = False
    shared: bool = False
    interval: int = 1
    extra: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        kind = [name for name in ("odd", "pair", "shared") if getattr(self, name)]
        shape = f"{self.unit.name}-{self.lanes}x{self.columns}r{self.requant}"
        kind += [f"i{self.interval}"] if self.interval > 1 else []
        return "-".join([shape, f"c{self.channels}", self.style.value, *kind])

    def params(self) -> Engine:
        requant = [self.requant, 1] if self.unit is Unit.ARRAY else [1, self.requant]
        return small_params(
            SMALL_COMPACT if self.interval > 1 else SMALL,
            lanes=self.lanes,
            columns=self.columns,
            array_requant=requant[0],
            vector_requant=requant[1],
            accumulator_bits=self.bits,
            requant_multiplier=self.style,
            act_words=(128, 3),
            param_words=(32, 40),
            **self.extra,
        )

    @property
    def groups(self) -> int:
        """Groups of a pixel."""
        return -(-self.channels // self.requant)

    @property
    def tile_groups(self) -> int:
        """Groups that leave for one tile."""
        lanes = self.columns if self.unit is Unit.ARRAY else self.lanes
        return min(lanes // self.requant, self.groups)

    @property
    def words(self) -> int:
        """Activation words of a pixel."""
        return -(-self.channels // self.lanes)

    @property
    def tiles(self) -> int:
        return -(-self.groups // self.tile_groups)


CASES = [
    Case(unit=Unit.ARRAY),
    Case(unit=Unit.ARRAY, columns=8, requant=4, channels=13, gap=3, style=Style.LUT),
    Case(unit=Unit.ARRAY, lanes=8, columns=2, requant=1, channels=5, bits=28),
    Case(unit=Unit.ARRAY, requant=4, channels=8, extra={"array_multiplier": Style.PACKED}),
    Case(unit=Unit.VECTOR),
    Case(unit=Unit.VECTOR, requant=4, channels=12, gap=2, odd=True),
    Case(unit=Unit.VECTOR, requant=1, channels=3, style=Style.LUT, bits=32),
    Case(unit=Unit.VECTOR, lanes=8, channels=20, gap=1, shared=True, odd=True),
    Case(unit=Unit.VECTOR, channels=8, pair=True, shared=True, bits=28),
    Case(unit=Unit.VECTOR, requant=1, channels=6, extra={"vector_multiplier": Style.LUT}),
    Case(unit=Unit.ARRAY, requant=1, interval=4),
    Case(
        unit=Unit.ARRAY, columns=6, requant=1, channels=11, gap=9, interval=4, style=Style.LUT
    ),
    Case(unit=Unit.VECTOR, requant=1, channels=6, bits=32, interval=4),
    Case(unit=Unit.VECTOR, lanes=8, requant=1, channels=20, gap=5, odd=True, interval=4),
    Case(unit=Unit.VECTOR, requant=1, channels=8, pair=True, shared=True, bits=28, interval=4),
    Case(
        unit=Unit.VECTOR, lanes=1, columns=1, requant=1, channels=3, interval=4,
        extra={"vector_multiplier": Style.DUAL},
    ),
]  # fmt: skip


@dataclass
class Data:
    """Sums [rows, cols, C], what they become, and the step's numbers for that."""

    acc: np.ndarray
    codes: np.ndarray
    params: Params
    step: dict[str, int]


def data_of(case: Case, rng: np.random.Generator) -> Data:
    shape = (ROWS, COLS, case.channels)
    low, high, zero_point = -100, 120, -3 if case.odd else 4
    step = {"low": low, "high": high, "zero_point": zero_point}
    n_params = case.requant if case.shared else case.channels
    bias = rng.integers(-5000, 5000, n_params)
    if case.pair:
        a, b = rng.integers(-128, 128, (2, *shape))
        factors, point = (3 << 22, 5 << 21), 24
        product = (a - 3) * factors[0] + (b + 5) * factors[1]
        codes = np.clip(round_scaled(product, np.int64(point)) + zero_point, low, high)
        bias = np.full(n_params, -3 + (5 << 16))
        one = Scaling(mantissa=np.array([factors[0]]), shift=np.array([point]))
        acc, step["multiplier"] = a + (b << 16), factors[1]
        return Data(acc, codes, param_groups(bias, one, 0, case.requant), step)
    scaling = scaling_of(rng.uniform(1e-3, 2e-2, 1 if case.shared else n_params))
    if case.shared:
        bias[:] = bias[0]
    acc = rng.integers(-20_000, 20_000, shape)
    limit = (1 << case.bits - 1) - 1
    acc[0, 0] = limit - BIAS_OFFSET - 5000
    acc[0, 1] = -limit + 5000
    if case.odd:  # half of the products are ties
        acc, bias = rng.integers(-150, 150, shape), bias // 100
        scaling = scaling_of(np.full(len(scaling.mantissa), 0.5))
    true = (acc + (bias[0] if case.shared else bias)).transpose(2, 0, 1)[None]
    codes = requantise(true, scaling, zero_point, low, high, case.odd)[0].transpose(1, 2, 0)
    return Data(acc, codes, param_groups(bias, scaling, 0, case.requant), step)


async def load(ctx: Any, dut: OutputPath, images: np.ndarray) -> None:
    """Writes parameter chunks [words, 2 R] from PARAM_BASE on."""
    for word, row in enumerate(images.tolist()):
        for c, chunk in enumerate(row):
            ctx.set(dut.load_en, 1 << c)
            ctx.set(dut.load_address, PARAM_BASE + word)
            ctx.set(dut.load_data, chunk)
            await ctx.tick()
    ctx.set(dut.load_en, 0)
    ctx.set(dut.load_data, 0x5_5555_5555)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bytes(case: Case) -> None:
    p, unit = case.params(), case.unit
    dut = OutputPath(p, p.path(unit))  # in a compact engine there is only one
    rng = random.Random(6)
    data = data_of(case, np.random.default_rng(5))
    n_lanes = p.drain_lanes(unit)
    order = [(col, tile) for tile in range(case.tiles) for col in range(COLS)]
    if p.path(unit) is Unit.ARRAY:
        order.sort()

    flags: dict[int, dict[str, int]] = {}  # by the cycle of a tile's last tap
    sums: dict[int, list[int]] = {}
    writes: dict[int, dict[tuple[int, int], int | None]] = {}  # bytes by (word, lane)
    row_dones = []
    t = 3
    for row in range(ROWS):
        for col, tile in order:
            last_tile = tile == case.tiles - 1
            flags[t] = {
                "first_tile": tile == 0, "last_tile": last_tile,
                "first_col": col == 0, "last_col": col == COLS - 1,
                "first_row": row == 0, "last_row": row == ROWS - 1,
            }  # fmt: skip
            first = tile * n_lanes
            acc = data.acc[row, col, first : first + n_lanes].tolist()
            # Unused lanes hold anything.
            sums[t + unit_latency(p, unit)] = acc + [rng.getrandbits(20)] * (n_lanes - len(acc))
            first_write = t + unit_latency(p, unit) + 1 + requant_latency(p)
            for g in range(case.tile_groups):
                cycle = first_write + g * case.interval
                writes[cycle] = {}
                for channel in range(first + g * case.requant, first + (g + 1) * case.requant):
                    if channel < case.groups * case.requant:
                        code = data.codes[row, col, channel] if channel < case.channels else None
                        pixel = OUT_WORD + (row * COLS + col) * case.words
                        place = (pixel + channel // case.lanes, channel % case.lanes)
                        writes[cycle][place] = code
            if last_tile and col == COLS - 1:
                row_dones.append(first_write + (case.tile_groups - 1) * case.interval)
            t += case.tile_groups * case.interval + rng.randint(0, case.gap)
    assert len(row_dones) == ROWS
    step = data.step | {
        "unit": unit.index,
        "pair": int(case.pair),
        "odd": int(case.odd),
        "shared_params": int(case.shared),
        "param_base": PARAM_BASE,
        "groups_per_tile": case.tile_groups,
        "groups_last": (case.groups - 1) % case.tile_groups + 1,
        "first_lanes": (1 << case.requant) - 1,
        "out_word": OUT_WORD,
        "out_col": case.words,
        "out_row": case.words * COLS,
    }

    watched = (dut.word, dut.enable, dut.codes, dut.row_done, dut.done)

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, parameters(data.params))
        ctx.set(dut.step, step)
        for cycle in range(max(writes) + 5):
            strobe = {"active": 1, "emit": 1} if cycle in flags else {"emit": 0}
            ctx.set(dut.flags, mix(rng, FLAGS, **{**flags.get(cycle, {}), **strobe}))
            junk = [rng.getrandbits(24) for _ in range(n_lanes)]
            ctx.set(dut.sums, sums.get(cycle, junk))
            sampled = await ctx.tick().sample(*watched)
            word, enable, codes, row_done, done = sampled[2:]
            got = {
                (word, k): int(np.int8(np.uint8(codes >> 8 * k & 0xFF)))
                for k in range(case.lanes)
                if enable >> k & 1
            }
            expected = writes.get(cycle, {})
            assert set(got) == set(expected), f"cycle {cycle}"
            for place, code in expected.items():
                assert code is None or got[place] == code, f"cycle {cycle}, {place}"
            assert row_done == (cycle in row_dones), f"cycle {cycle}"
            assert done == (cycle == row_dones[-1]), f"cycle {cycle}"

    simulate(dut, bench)
    written = {place for group in writes.values() for place in group}
    assert len(written) == ROWS * COLS * case.groups * case.requant
    assert len({int(code) for code in data.codes.ravel()}) > 5  # not all saturated
