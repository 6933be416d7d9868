"""The resource model: LUT, flip-flop, DSP and block-RAM counts before synthesis.

LUT counts are LUT4 equivalents (a carry cell is two). The coefficients are structure times widths;
``bench/resources.py`` holds them against yosys.
"""

import math
from dataclasses import dataclass

from weft.mapper.cost import bits_for, multiplier_latency, requant_latency, step_chunks
from weft.mapper.plan import Engine, Style
from weft.nn.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Resources(Value):
    """Counts of LUT4 equivalents, flip-flops, 18x18 multipliers and block RAMs."""

    lut: int
    ff: int
    dsp: int
    bram: int


def block_rams(width: int, depth: int, grain: int) -> int:
    """18-Kbit block RAMs of a memory with one write and one read port; 0 for one in LUTs.

    A write enable belongs to 9 bits, so 8-bit grains leave every ninth bit unused.
    """
    if depth <= 32:
        return 0
    used = width // 8 * 9 if grain == 8 else width
    shapes = (
        ((36, 512), (18, 1024), (9, 2048))
        if grain == 8
        else ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
    )
    return min(math.ceil(used / w) * math.ceil(depth / d) for w, d in shapes)


def predict(engine: Engine) -> Resources:
    """Resources of the engine on ECP5."""
    k, n, r = engine.lanes, engine.columns, engine.requant_lanes
    acc, memories = engine.accumulator_bits, engine.memories
    drain = max(k, n)
    words = 36 * step_chunks(engine)

    lut, ff, dsp = _multipliers(engine)
    psum = sum(min(acc, 8 + engine.weight_bits + i.bit_length()) for i in range(k))
    lut += n * psum + n * acc * 2  # partial sums, accumulators
    ff += n * psum + n * acc
    ff += 8 * k * (k - 1) // 2 + k * bits_for(max(memories.weight, memories.vector))  # skew
    lut += k * acc * 3
    ff += k * (acc + 8 * multiplier_latency(engine.vector_multiplier, 8))
    lut += drain * acc * (2 if k == n else 1)  # drain
    ff += drain * acc
    lut += r * (2 * acc + 420)  # requantise lanes
    ff += r * (6 * acc + 330)
    lut += 8 * k * 3 + 420 + 4 * bits_for(memories.act) * 7
    ff += words + words // 3 + 16 * k + 420 + 12 * (requant_latency(engine) + k)

    bram = block_rams(8 * k, memories.act, 8)
    chunk = max(d for d in (1, 2, 3, 4) if n % d == 0) * engine.weight_bits
    bram += k * block_rams(n * engine.weight_bits, memories.weight, chunk)
    chunk = max(d for d in (1, 2, 3, 4) if k % d == 0) * engine.weight_bits
    bram += block_rams(k * engine.weight_bits, memories.vector, chunk)
    bram += block_rams(72 * r, memories.param, 36)
    bram += block_rams(36, memories.program, 36)
    return Resources(lut=lut, ff=ff, dsp=dsp, bram=bram)


def _multipliers(engine: Engine) -> tuple[int, int, int]:
    """LUTs, flip-flops and DSPs of all multipliers."""
    k, n, r = engine.lanes, engine.columns, engine.requant_lanes
    upper = engine.accumulator_bits - 16
    lut = ff = dsp = 0
    for style, count, a_bits, b_bits in (
        (engine.array_multiplier, k * n, engine.weight_bits, 8),
        (engine.vector_multiplier, k, engine.weight_bits, 8),
        (engine.requant_multiplier, 2 * r, 16, 16),
        (engine.requant_multiplier, 2 * r, 16, upper),
    ):
        if style is Style.DSP:
            dsp += count
        else:
            lut += count * int(a_bits * b_bits * 2.3)
            ff += count * int(a_bits * b_bits * 2.0)
    return lut, ff, dsp
