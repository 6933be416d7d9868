"""The image port: which memory an image write goes to."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal

from weft.hw.delay import delay
from weft.hw.output import OutputPath
from weft.machine.engine import Engine
from weft.machine.images import WORD_BITS, index_bits, vector_word, weight_word
from weft.machine.memory_map import PROGRAM, REGISTERS, memory_map
from weft.machine.plan import Content


def route_images(
    m: Module,
    p: Engine,
    valid: Any,
    image: Any,
    host: Any,
    control: Any,
    array: Any,
    vector: Any,
    params: dict[str, OutputPath],
) -> dict[str, Signal]:
    """Connect image writes to the memories; returns the strobes of all memories, by their names.

    An address is the memory's number, then word, row (array only) and chunk, each of 2**n. Numbers
    beyond the memory map are never written. params: the output path of each memory of parameters.
    The memories of units and output paths are all over the chip: their writes come from registers
    (the array has its own).
    """
    memories = memory_map(p)
    address, chunk = image.address, image.data
    number = address[WORD_BITS:][: memories.number_bits]
    chosen = {name: Signal(name=f"to_{name}") for name in memories.names}
    for name, signal in chosen.items():
        m.d.comb += signal.eq(valid & (number == memories.number(name)))

    tile, taps = weight_word(p), vector_word(p)
    vector_address, vector_chunk = _split(address, taps.chunks)
    row_address, weight_chunk = _split(address, tile.chunks)
    weight_address, row = row_address[tile.row_bits :], row_address[: tile.row_bits]
    m.d.comb += [
        host.register_en.eq(chosen[REGISTERS]),
        host.register_index.eq(address[:2]),
        host.register_data.eq(chunk),
        control.load_en.eq(chosen[PROGRAM]),
        control.load_address.eq(address),
        control.load_data.eq(chunk),
        array.load_en.eq(_one_hot(weight_chunk, chosen[Content.WEIGHTS.value], tile.chunks)),
        array.load_row.eq(row),
        array.load_address.eq(weight_address),
        array.load_data.eq(_spread(chunk, tile.chunks, len(array.load_data))),
    ]
    late_chunk = delay(m, chunk, 1, "late_chunk")
    m.d.sync += [
        vector.load_en.eq(_one_hot(vector_chunk, chosen[Content.VECTOR.value], taps.chunks)),
        vector.load_address.eq(vector_address),
    ]
    m.d.comb += vector.load_data.eq(_spread(late_chunk, taps.chunks, len(vector.load_data)))
    for name, output in params.items():
        word, part = _split(address, output.param_chunks)
        m.d.sync += [
            output.load_en.eq(_one_hot(part, chosen[name], output.param_chunks)),
            output.load_address.eq(word),
        ]
        m.d.comb += output.load_data.eq(late_chunk)
    return chosen


def _split(address: Any, n_chunks: int) -> tuple[Any, Any]:
    """Word and chunk index of an image address."""
    bits = index_bits(n_chunks)
    return address[bits:], address[:bits]


def _one_hot(index: Any, enable: Any, count: int) -> Any:
    return Cat(enable & (index == i) if count > 1 else enable for i in range(count))


def _spread(chunk: Any, n_chunks: int, width: int) -> Any:
    """The used part of a chunk on every place of a memory word."""
    return chunk[: width // n_chunks].replicate(n_chunks)
