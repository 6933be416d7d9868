"""The resource model: LUT, flip-flop, DSP and block-RAM counts before synthesis.

LUT counts are LUT4 equivalents (a carry cell is two). The coefficients are structure times widths;
``bench/resources.py`` holds them against yosys.
"""

import math
from dataclasses import dataclass

from weft.machine.engine import Engine, Style, Unit
from weft.machine.fields import BACK, part_bits, step_chunks
from weft.machine.target import Target
from weft.machine.timing import multiplier_latency, requant_latency
from weft.mapper import compact_resources
from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Resources(Value):
    """Counts of LUT4 equivalents, flip-flops, multipliers, block RAMs, large single-ported RAMs."""

    lut: int
    ff: int
    dsp: int
    bram: int
    spram: int = 0


BLOCK_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""Width and depth of one DP16KD."""

BLOCK_COST, LUT_RAM_COST, SELECT_COST = 128, 4, 0.5
"""What yosys weighs a DP16KD, a TRELLIS_DPR16X4 (16 words of 4 bits) and one of the selects between
rows of those, per bit, at when it chooses. (The last is fitted to what it chose.)"""


def block_rams(width: int, depth: int, grain: int) -> int:
    """18-Kbit block RAMs of a memory with one write and one read port; 0 where LUTs are cheaper.

    A write enable belongs to 9 bits, so 8-bit grains leave every ninth bit unused.
    """
    used = width // 8 * 9 if grain == 8 else width
    shapes = BLOCK_SHAPES[:3] if grain == 8 else BLOCK_SHAPES
    blocks = min(math.ceil(used / w) * math.ceil(depth / d) for w, d in shapes)
    rows = math.ceil(depth / 16)
    in_luts = LUT_RAM_COST * rows * math.ceil(width / 4) + SELECT_COST * (rows - 1) * width
    return 0 if in_luts < BLOCK_COST * blocks else blocks


def predict_for(target: Target, engine: Engine) -> Resources:
    """Resources of the engine on the target's family.

    Compact engines have a model of their own. For Gowin, ECP5's is a first estimate, with small
    multipliers counted as halves (digits, 4 x 2, with the serial link: 4,465 LUTs and 4,041
    flip-flops by yosys 0.70, 4,380 and 4,006 estimated).
    """
    if engine.compact:
        needs = Resources(**compact_resources.count(engine))
    else:
        needs = predict(engine)
    facts, small = target.facts, _small_multipliers(engine)
    needs = needs.replace(dsp=needs.dsp - small + math.ceil(small / facts.products_per_dsp))
    if not engine.compact or facts.block_kbits == compact_resources.BLOCK_KBITS:
        return needs
    acts, others = compact_resources.block_memories(engine)
    bram = sum(block_rams(*memory, 8) for memory in acts)
    return needs.replace(bram=bram + sum(block_rams(*memory, 36) for memory in others))


def _small_multipliers(engine: Engine) -> int:
    """Multipliers of at most 9 x 9 bits in DSPs: those of the units, not of the outputs."""
    small = 0
    if engine.styles.array is Style.DSP:
        small += engine.lanes * engine.columns
    if engine.styles.vector is Style.DSP:
        small += engine.lanes * engine.vector_taps
    return small


def predict(engine: Engine) -> Resources:
    """Resources of the engine on ECP5."""
    k, n, t = engine.lanes, engine.columns, engine.vector_taps
    acc, memories = engine.accumulator_bits, engine.memories
    address = engine.act_address_bits
    words = 36 * step_chunks(engine)

    lut, ff, dsp = _multipliers(engine)
    psum = sum(min(acc, 8 + engine.weight_bits + i.bit_length()) for i in range(k))
    lut += n * psum + n * acc * 2  # partial sums, accumulators
    ff += n * psum + n * acc
    ff += 8 * k * (k - 1) // 2 + k * engine.weight_address_bits  # skew
    lut += int(k * acc * (1.7 + 3.1 * t))  # vector sums
    ff += k * (t * acc + 10 * t + 54 + 8 * multiplier_latency(engine.styles.vector, 8))
    lut += (k + n) * acc  # drains
    ff += (k + n) * acc
    lanes = engine.array_requant + engine.vector_requant
    lut += lanes * (2 * acc + 400) - 100 * engine.array_requant  # those have no pairs
    ff += lanes * (6 * acc + 366)
    lut += 2 * (8 * k * 3 + 800 + 28 * address) - 7 * n
    ff += 180 + 20 * n
    packed = engine.styles.array is Style.PACKED
    ff += k * n * (9 if packed else engine.weight_bits)  # behind the weight memories
    ff += k * t * engine.weight_bits
    ff += 150 + 40 * k + lanes * (72 + engine.param_address_bits)  # around parameters
    if engine.products:  # centred words, what the multiplier leaves out, the gate's address
        lut += 255 + 57 * k
        ff += 105 + 21 * k
    next_back = part_bits(BACK, engine)  # of a chained step: a register and a multiplexer
    lut += next_back
    ff += next_back
    ff += 3 * words + 16 * k * t + 2 * (16 * k + 260 + 12 * (requant_latency(engine) + k))

    bram = sum(block_rams(8 * k, depth, 8) for depth in memories.act)
    bram += k * block_rams(n * engine.weight_bits, memories.weight, 36)
    bram += block_rams(t * k * engine.weight_bits, memories.vector, 36)
    for unit in Unit:
        depth = memories.param[0 if unit is Unit.ARRAY else 1]
        bram += block_rams(72 * engine.requant(unit), depth, 36)
    bram += block_rams(36, memories.program, 36)
    return Resources(lut=lut, ff=ff, dsp=dsp, bram=bram)


def _multipliers(engine: Engine) -> tuple[int, int, int]:
    """LUTs, flip-flops and DSPs of all multipliers."""
    k, n = engine.lanes, engine.columns
    lanes = engine.array_requant + engine.vector_requant
    styles, upper = engine.styles, engine.accumulator_bits - 16
    lut = ff = dsp = 0
    for style, count, a_bits, b_bits in (
        (styles.array, k * n, engine.weight_bits, 8),
        (styles.vector, k * engine.vector_taps, engine.weight_bits, 8),
        (styles.requant, 2 * lanes, 16, 16),
        (styles.requant, 2 * lanes, 16, upper),
    ):
        if style is Style.DSP:
            dsp += count
        elif style is Style.PACKED:
            dsp += count // 2
            lut += count // 2 * 75
            ff += count // 2 * 94
        else:
            lut += count * int(a_bits * b_bits * 1.15)
            ff += count * int(a_bits * b_bits * 1.33)
    return lut, ff, dsp
