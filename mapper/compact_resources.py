"""The resource model of compact engines: LUTs, flip-flops, multipliers and memories of an iCE40.

The coefficients are fitted to yosys' counts in ``bench/resources.py``.
"""

import math

from weft.machine.engine import Engine, Style
from weft.machine.fields import step_chunks

BLOCK_SHAPES = ((16, 256), (8, 512), (4, 1024), (2, 2048))
"""Width and depth of one SB_RAM40_4K."""

BLOCK_KBITS = 4

SPRAM_SHAPE = (16, 16384)
"""Width and depth of one SB_SPRAM256KA."""


def block_rams(width: int, depth: int) -> tuple[int, int]:
    """4-Kbit block RAMs of a memory with one write and one read port, and how many lie one behind
    the other; none for a single word."""
    if depth <= 1:
        return 0, 0
    ways = []
    for wide, deep in BLOCK_SHAPES:
        beside = math.ceil(width / wide)
        ways.append((beside * math.ceil(depth / deep), math.ceil(depth / deep)))
        if depth > deep:
            rest, behind = block_rams(width, depth % deep)
            ways.append((beside * (depth // deep) + rest, depth // deep + behind))
    return min(ways)


def large_rams(width: int, depth: int) -> int:
    """256-Kbit single-ported RAMs of a memory."""
    return math.ceil(width / SPRAM_SHAPE[0]) * math.ceil(depth / SPRAM_SHAPE[1])


def block_memories(engine: Engine) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Width and depth of the activations' memories, and of the others but for the store."""
    k, n, memories = engine.lanes, engine.columns, engine.memories
    return [(8 * k, depth) for depth in memories.act], [
        *((n * engine.weight_bits, memories.weight) for _ in range(k)),
        (k * engine.weight_bits, memories.vector),
        (72, memories.param[0]),
        (36, memories.program),
    ]


def count(engine: Engine) -> dict[str, int]:
    """SB_LUT4, flip-flops, SB_MAC16, block RAMs and large RAMs, by the names of ``Resources``."""
    k, n, memories = engine.lanes, engine.columns, engine.memories
    acts, blocks = block_memories(engine)
    large = [(32, memories.store)] if engine.streamed else []
    (large if engine.single_port else blocks).extend(acts)

    lut, ff, dsp = _multipliers(engine)
    bits = engine.count_bits
    lut += 450 + 290 * k + 70 * n + 45 * bits + 30 * engine.act_address_bits
    lut += 170 * engine.streamed + (40 + 105 * k) * engine.products
    shapes = [(width, *block_rams(width, depth)) for width, depth in blocks]
    lut += sum(width * 7 // 10 * max(0, behind - 1) for width, _, behind in shapes)
    sums = sum(min(engine.accumulator_bits, 16 + i.bit_length()) for i in range(k))
    ff += 922 + 26 * k + 36 * step_chunks(engine) + sum(width for width, _ in [*blocks, *large])
    ff += n * (sums + engine.accumulator_bits) + max(n, k) * engine.accumulator_bits
    ff += 120 * k + 20 * bits + 60 * engine.streamed + (30 + 28 * k) * engine.products
    return {
        "lut": lut,
        "ff": ff,
        "dsp": dsp,
        "bram": sum(n_blocks for _, n_blocks, _ in shapes),
        "spram": sum(large_rams(width, depth) for width, depth in large),
    }


def logic_cells(lut: int, ff: int) -> int:
    """Logic cells that LUTs and flip-flops take: four of ten flip-flops share one with a LUT."""
    return lut + ff * 6 // 10


def _multipliers(engine: Engine) -> tuple[int, int, int]:
    """LUTs, flip-flops and DSPs of all multipliers."""
    k, n, styles = engine.lanes, engine.columns, engine.styles
    lut = ff = dsp = 0
    for style, rows, columns, bits in (
        (styles.array, k, n, 8),
        (styles.vector, 1, k, 8),
        (styles.requant, 1, 1, 16),
    ):
        if style is Style.DUAL:
            dsp += rows * math.ceil(columns / 2)
        elif style is Style.DSP:
            dsp += rows * columns
        else:
            lut += int(rows * columns * bits * bits * 2.14)
            ff += int(rows * columns * bits * bits * 1.33)
    return lut, ff, dsp
