"""The step word: what one loop nest needs to know, as it lies in program memory.

A step is fetched in two parts: the *front* drives a unit's address generator, the *back* its output
path. Each part fills whole program chunks of 36 bits, lowest bits first.
"""

from amaranth.lib import data, enum

from weft.hw.params import CHUNK_BITS, IMAGE_ADDRESS_BITS, EngineParams, Unit

GAP_BITS = 7
"""Bits of the cycles between chained steps."""


class VectorOp(enum.Enum, shape=2):
    """What a lane of the vector unit does with each word."""

    MAC = 0  # acc += act * weight
    SUM = 1  # acc += act
    MAX = 2  # acc = max(acc, act)
    PAIR = 3  # first word to the low 16 bits, second word above them


PRODUCT = VectorOp.MAC
"""The operation of a step with ``product``: first word times second word, of one lane each."""


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
    ``need`` for the first one, ``y_row`` more for each further one (not in a compact engine, nor
    ``lead``). Only with products: ``stay``: a tile's first tap lies at ``stay_base``, from where
    only tiles move it on.
    """
    address, count, coordinate = p.act_address_bits, p.count_bits, p.coordinate_bits
    fields: dict[str, object] = {
        "read_bank": 1,
        "act_base": address,
        "weight_base": p.weight_address_bits,
        "pad_value": 8,
        "hold": p.hold_bits,
        "height": count + 1,
        "width": count + 1,
        "y0": coordinate,
        "x0": coordinate,
        "y_row": count,
        "x_col": count,
        "y_kernel_row": count,
        "x_kernel_col": count,
    }
    if not p.compact:
        fields |= {"lead": count, "follow": 1, "need": coordinate}
    if p.products:
        fields |= {"stay": 1, "stay_base": address}
    fields |= {f"n_{level}": count for level in LEVELS[Unit.ARRAY]}
    fields |= {f"act_{level}": address for level in LEVELS[Unit.ARRAY]}
    return data.StructLayout(fields)  # type: ignore[arg-type]


def back_layout(p: EngineParams) -> data.StructLayout:
    """Fields of the output path's part.

    Groups are R channels. ``groups_per_tile`` leave the drain; of a pixel's last tile only
    ``groups_last`` are written; ``first_lanes`` masks the first group of a pixel. ``pair``: the
    accumulator holds two operands. ``odd``: ties round to odd. ``multiplier``: factor of a pair's
    upper operand.

    Not in a compact engine: ``chain``: the array may begin ``gap`` cycles after the last tap of the
    step before, while that step's results drain. ``rolling``: sums move on to the next output
    column. Only with a store: ``load``: the front part is a ``load_layout``. Only with products:
    ``product``: a tile's words, less ``zero_first`` and ``zero_second``, are multiplied (MAC), or
    the second one is inverted (PAIR).
    """
    fields: dict[str, object] = {"unit": 1, "last_step": 1}
    if p.store_words:
        fields["load"] = 1
    if not p.compact:
        fields |= {"chain": 1, "gap": GAP_BITS, "rolling": 1}
    if p.products:
        fields |= {"product": 1, "zero_first": 8, "zero_second": 8}
    fields |= {
        "vector_op": VectorOp,
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
    return data.StructLayout(fields)  # type: ignore[arg-type]


def load_layout(p: EngineParams) -> data.StructLayout:
    """A step of the loader, in the place of the front part.

    ``count`` image chunks for consecutive addresses from ``image`` on, from the store's word
    ``source`` on; ``wide``: two words to a chunk, the upper bits in the second.
    """
    return data.StructLayout(
        {
            "source": p.store_address_bits,
            "count": p.store_address_bits,
            "wide": 1,
            "image": IMAGE_ADDRESS_BITS,
        }
    )


def param_layout() -> data.StructLayout:
    """Requantisation of one channel, two chunks. ``shift`` s places the point at bit 24 + 8 s."""
    return data.StructLayout({"bias": 32, "shift": 3, "unused": 1, "factor": 32, "unused2": 4})


def chunks(layout: data.StructLayout) -> int:
    """Program chunks that a part of the step word fills."""
    return -(-layout.size // CHUNK_BITS)
