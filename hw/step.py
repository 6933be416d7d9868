"""The step word: what one loop nest needs to know, as it lies in program memory.

A step is fetched in two parts: the *front* drives a unit's address generator, the *back* its output
path. Each part fills whole program chunks of 36 bits, lowest bits first.
"""

from amaranth.lib import data, enum

from weft.hw.params import CHUNK_BITS, COUNT_BITS, EngineParams, Unit

COORDINATE_BITS = COUNT_BITS + 2
"""Signed coordinates: a padded position, from -4096 to twice the largest size."""


GAP_BITS = 7
"""Bits of the cycles between chained steps."""


class VectorOp(enum.Enum, shape=2):
    """What a lane of the vector unit does with each word."""

    MAC = 0  # acc += act * weight
    SUM = 1  # acc += act
    MAX = 2  # acc = max(acc, act)
    PAIR = 3  # first word to the low 16 bits, second word above them


LEVELS = {
    Unit.ARRAY: ("row", "col", "tile", "kernel_row", "kernel_col", "word"),
    Unit.VECTOR: ("row", "tile", "col", "kernel_row", "kernel_col", "word"),
}
"""The loops of a step, outermost first. The vector unit rolls along a row before the next word."""


def front_layout(p: EngineParams) -> data.StructLayout:
    """Fields of the address generator's part.

    ``n_*``: loop counts. ``act_*``: how far the activation address moves at each loop. ``y0, x0``:
    first coordinate, ``y_row`` and ``y_kernel_row`` its moves; a word outside ``height`` x
    ``width`` reads as ``pad_value``. ``hold``: idle cycles after each tile. ``lead``: tiles at the
    start of a row that give no result. ``follow``: rows wait for rows of the other unit's step,
    ``need`` for the first one, ``y_row`` more for each further one.
    """
    address = p.act_address_bits
    fields: dict[str, object] = {
        "read_bank": 1,
        "act_base": address,
        "weight_base": p.weight_address_bits,
        "pad_value": 8,
        "hold": p.hold_bits,
        "lead": COUNT_BITS,
        "follow": 1,
        "need": COORDINATE_BITS,
        "height": COUNT_BITS + 1,
        "width": COUNT_BITS + 1,
        "y0": COORDINATE_BITS,
        "x0": COORDINATE_BITS,
        "y_row": COUNT_BITS,
        "x_col": COUNT_BITS,
        "y_kernel_row": COUNT_BITS,
        "x_kernel_col": COUNT_BITS,
    }
    fields |= {f"n_{level}": COUNT_BITS for level in LEVELS[Unit.ARRAY]}
    fields |= {f"act_{level}": address for level in LEVELS[Unit.ARRAY]}
    return data.StructLayout(fields)  # type: ignore[arg-type]


def back_layout(p: EngineParams) -> data.StructLayout:
    """Fields of the output path's part.

    Groups are R channels. ``groups_per_tile`` leave the drain; of a pixel's last tile only
    ``groups_last`` are written; ``first_lanes`` masks the first group of a pixel. ``pair``: the
    accumulator holds two operands. ``chain``: the array may begin ``gap`` cycles after the last tap
    of the step before, while that step's results drain. ``rolling``: sums move on to the next
    output column. ``odd``: ties round to odd. ``multiplier``: factor of a pair's upper operand.
    """
    return data.StructLayout(
        {
            "unit": 1,
            "last_step": 1,
            "chain": 1,
            "gap": GAP_BITS,
            "vector_op": VectorOp,
            "rolling": 1,
            "pair": 1,
            "odd": 1,
            "shared_params": 1,
            "param_base": p.param_address_bits,
            "groups_per_tile": p.groups_per_tile_bits,
            "groups_last": p.groups_per_tile_bits,
            "first_lanes": p.max_requant,
            "write_bank": 1,
            "out_group": p.group_bits,
            "out_word": p.act_address_bits,
            "out_col": p.act_address_bits,
            "out_row": p.act_address_bits,
            "zero_point": 8,
            "low": 8,
            "high": 8,
            "multiplier": 32,
        }
    )


def param_layout() -> data.StructLayout:
    """Requantisation of one channel, two chunks. ``shift`` s places the point at bit 24 + 8 s."""
    return data.StructLayout({"bias": 32, "shift": 3, "unused": 1, "factor": 32, "unused2": 4})


def chunks(layout: data.StructLayout) -> int:
    """Program chunks that a part of the step word fills."""
    return -(-layout.size // CHUNK_BITS)
