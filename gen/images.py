"""Memory images: what the plan's steps, weights and parameters look like in the memories."""

from collections.abc import Iterator

import numpy as np
from amaranth.lib import data

from weft.gen.hardware import engine_params, registers
from weft.hw import step as layout
from weft.hw.host import Image
from weft.hw.packed import FIELD_BITS
from weft.hw.params import CHUNK_BITS, IMAGE_ADDRESS_BITS, EngineParams, Unit, chunk_lanes
from weft.machine.plan import Content, Load, Params, Plan, Step, VectorOp
from weft.mapper.loads import STORE_BITS

SELECT = {
    Content.WEIGHTS: Image.WEIGHT,
    Content.VECTOR: Image.VECTOR,
    Content.ARRAY_PARAMS: Image.ARRAY_PARAM,
    Content.VECTOR_PARAMS: Image.VECTOR_PARAM,
}
"""The memory that each of the plan's images goes to."""


def program(plan: Plan) -> list[int]:
    """Program memory: the chunks of all steps, front part first."""
    params = engine_params(plan.engine)
    words = []
    for i, step in enumerate(plan.steps):
        last = i == len(plan.steps) - 1
        for load in step.loads:
            words += _loader_step(params, load)
        words += _chunks(layout.front_layout(params), front_fields(step))
        words += _chunks(layout.back_layout(params), back_fields(step, last))
    return words


def front_fields(step: Step) -> dict[str, int]:
    """Values of the address generator's part of a step word."""
    read = step.read
    fields = {
        "read_bank": read.bank,
        "act_base": read.base,
        "weight_base": step.weight_base,
        "pad_value": read.pad_value,
        "hold": step.loops.hold,
        "lead": step.loops.lead,
        "stay": int(read.stay is not None),
        "stay_base": read.stay or 0,
        "follow": int(step.follow is not None),
        "need": step.follow.need if step.follow else 0,
        "height": read.y.size,
        "width": read.x.size,
        "y0": read.y.origin,
        "x0": read.x.origin,
        "y_row": read.y.move,
        "x_col": read.x.move,
        "y_kernel_row": read.y.kernel_move,
        "x_kernel_col": read.x.kernel_move,
    }
    for level, count in zip(layout.LEVELS[Unit.ARRAY], step.loops.counts, strict=True):
        fields[f"n_{level}"] = count
        fields[f"act_{level}"] = getattr(read.moves, level)
    return fields


def back_fields(step: Step, last: bool) -> dict[str, int]:
    """Values of the output path's part of a step word."""
    write, output = step.write, step.output
    product = step.vector_op is VectorOp.PRODUCT
    return {
        "load": 0,
        "unit": Unit[step.unit.name].value,
        "vector_op": (layout.PRODUCT if product else layout.VectorOp[step.vector_op.name]).value,
        "last_step": int(last),
        "chain": int(step.gap is not None),
        "gap": step.gap or 0,
        "rolling": int(output.rolling),
        "product": int(product or output.minus),
        "zero_first": output.zeros[0],
        "zero_second": output.zeros[1],
        "pair": int(output.pair),
        "odd": int(output.odd),
        "shared_params": int(output.shared),
        "param_base": step.param_base,
        "groups_per_tile": write.groups_per_tile,
        "groups_last": write.groups_last,
        "first_lanes": write.first_lanes,
        "write_bank": write.bank,
        "out_group": write.group,
        "out_word": write.base,
        "out_col": write.col,
        "out_row": write.row,
        "zero_point": output.zero_point,
        "low": output.low,
        "high": output.high,
        "multiplier": output.multiplier,
    }


def load_fields(load: Load) -> dict[str, int]:
    """Values of the loader's part of a step word."""
    return {
        "source": load.source,
        "count": load.chunks,
        "wide": int(load.wide),
        "image": SELECT[load.content].value << IMAGE_ADDRESS_BITS - 3,
    }


def _loader_step(params: EngineParams, load: Load) -> list[int]:
    """The step word of a load: its own fields in the place of the front part."""
    back = layout.back_layout(params)
    idle = dict.fromkeys((str(name) for name, _ in back), 0)
    front = _chunks(layout.load_layout(params), load_fields(load))
    front += [0] * (layout.chunks(layout.front_layout(params)) - len(front))
    return front + _chunks(back, idle | {"load": 1})


MODULAR = ("act_", "stay_base", "out_word", "out_col", "out_row")
"""Fields that are addresses or moves of addresses: they wrap around the memory's size."""

SIGNED = ("pad_value", "y0", "x0", "zero_point", "low", "high", "zero_first", "zero_second")
"""Two's complement fields; all others hold no negative numbers."""


def _chunks(part: data.StructLayout, values: dict[str, int]) -> list[int]:
    word = 0
    for name, field in part:
        mask = (1 << field.width) - 1
        value = values[str(name)]
        lowest, highest = (-(mask + 1) // 2, mask // 2) if name in SIGNED else (0, mask)
        if not str(name).startswith(MODULAR) and not lowest <= value <= highest:
            raise ValueError(f"step field {name}: {value} does not fit {field.width} bits")
        word |= (value & mask) << field.offset
    return [word >> CHUNK_BITS * i & (1 << CHUNK_BITS) - 1 for i in range(layout.chunks(part))]


def parameters(params: Params) -> np.ndarray:
    """Parameter memory as image chunks [words, 2 * R]: bias and shift, then factor, per lane."""
    low = (params.bias & 0xFFFFFFFF) | params.shift << 32
    return np.stack([low, params.factor], axis=2).reshape(len(low), 2 * low.shape[1])


def weight_chunks(words: np.ndarray, bits: int) -> np.ndarray:
    """Weights [..., lanes] as image chunks [..., lanes / chunk_lanes], the first lane lowest."""
    lanes = words.shape[-1]
    size = chunk_lanes(lanes, bits)
    split = words.reshape(*words.shape[:-1], lanes // size, size).astype(np.int64)
    split &= (1 << bits) - 1
    return (split << bits * np.arange(size)).sum(axis=-1)


def array_chunks(weights: np.ndarray, params: EngineParams) -> np.ndarray:
    """The array's weights [..., N] as image chunks; packed pairs as one number each."""
    if params.packed:
        low, high = weights[..., 0::2].astype(np.int64), weights[..., 1::2].astype(np.int64)
        weights = (high << FIELD_BITS) + low
    return weight_chunks(weights, params.weight_fields[1])


def contents(plan: Plan) -> dict[Content, np.ndarray]:
    """The plan's images as image chunks: int64 [words, ...]."""
    params = engine_params(plan.engine)
    images, bits = plan.images, params.weight_bits
    return {
        Content.ARRAY_PARAMS: parameters(images.array_params),
        Content.VECTOR_PARAMS: parameters(images.vector_params),
        Content.VECTOR: weight_chunks(images.vector, bits),
        Content.WEIGHTS: array_chunks(images.weights, params),
    }


def image_writes(plan: Plan) -> np.ndarray:
    """All images as writes through the host port: int64 [n, 2] of (address, data)."""
    first = [
        _addressed(Image.REGISTER, np.array(registers(plan)).reshape(-1, 1)),
        _addressed(Image.PROGRAM, np.array(program(plan), dtype=np.int64).reshape(-1, 1)),
    ]
    if plan.engine.streamed:
        return np.concatenate([*first, uploads(plan)])
    chunks = contents(plan)
    return np.concatenate([*first, *(_addressed(SELECT[c], chunks[c]) for c in chunks)])


def uploads(plan: Plan) -> np.ndarray:
    """The writes that a host makes before the first run, because no bitstream holds them."""
    if not plan.engine.streamed:
        return np.zeros((0, 2), np.int64)
    return _addressed(Image.STORE, store(plan).reshape(-1, 1))


def store(plan: Plan) -> np.ndarray:
    """The store's words: the chunks of all loads in the order of their image addresses."""
    words = np.zeros(plan.engine.memories.store, np.int64)
    chunks = contents(plan)
    for step in plan.steps:
        for load in step.loads:
            part = chunks[load.content][load.first : load.first + load.words]
            holes = [(0, (1 << (n - 1).bit_length()) - n) for n in part.shape[1:]]
            stream = np.pad(part, [(0, 0), *holes]).reshape(-1, 1)
            assert len(stream) == load.chunks
            if load.wide:
                low = stream & (1 << STORE_BITS) - 1
                stream = np.concatenate([low, stream >> STORE_BITS], axis=1)
            words[load.source : load.source + load.store_words] = stream.ravel()
    return words


def image_limits(plan: Plan) -> list[int]:
    """For each of the 8 memories of an image address, the first address beyond the plan's image.

    The registers have none: they belong to the design.
    """
    address = image_writes(plan)[:, 0]
    memory, place = np.divmod(address, 1 << IMAGE_ADDRESS_BITS - 3)
    limits = [place[memory == m].max(initial=-1) + 1 for m in range(8)]
    return [0 if m == Image.REGISTER.value else int(limit) for m, limit in enumerate(limits)]


UPLOAD_FILE = "upload.bin"
"""All images as records of 8 bytes: 36 bits of data in 5, 24 bits of address in 3, low first."""


def upload_records(plan: Plan) -> bytes:
    """The image writes of a whole network, the registers' apart, as ``UPLOAD_FILE`` has them."""
    writes = image_writes(plan)
    writes = writes[writes[:, 0] >> IMAGE_ADDRESS_BITS - 3 != Image.REGISTER.value]
    address, data = writes.astype(np.uint64).T
    return (data | address << np.uint64(40)).astype("<u8").tobytes()


def _addressed(image: Image, chunks: np.ndarray) -> np.ndarray:
    """(address, data) of every chunk: select, then each index in bits of its own."""
    address = np.zeros((1,) * chunks.ndim, dtype=np.int64)
    for axis, size in enumerate(chunks.shape):
        bits = (size - 1).bit_length() if axis else 0
        shape = [1] * chunks.ndim
        shape[axis] = size
        address = (address << bits) | np.arange(size).reshape(shape)
    address = address | image.value << IMAGE_ADDRESS_BITS - 3
    return np.stack([np.broadcast_to(address, chunks.shape).ravel(), chunks.ravel()], axis=1)


def hex_files(plan: Plan) -> Iterator[tuple[str, str]]:
    """(file name, text) of every memory's image, one word per line for $readmemh."""
    params, bits = engine_params(plan.engine), plan.engine.weight_bits
    chunks = contents(plan)
    if plan.engine.streamed:  # the loader fills these memories
        chunks = {content: part[:0] for content, part in chunks.items()}
    yield "program.hex", _hex(np.array(program(plan)).reshape(-1, 1), CHUNK_BITS)
    for content in (Content.ARRAY_PARAMS, Content.VECTOR_PARAMS):
        lanes = chunks[content].shape[1] // layout.chunks(layout.param_layout())
        for r, part in enumerate(np.split(chunks[content], lanes, axis=1)):
            yield f"{content.value}_{r}.hex", _hex(part, CHUNK_BITS)
    chunk_bits = chunk_lanes(params.vector_lanes, bits) * bits
    yield "vector.hex", _hex(chunks[Content.VECTOR], chunk_bits)
    fields, field_bits = params.weight_fields
    chunk_bits = chunk_lanes(fields, field_bits) * field_bits
    for k in range(params.lanes):
        yield f"weights_{k}.hex", _hex(chunks[Content.WEIGHTS][:, k], chunk_bits)


def _hex(chunks: np.ndarray, chunk_bits: int) -> str:
    """Words of several chunks, the first one lowest, in hexadecimal; at least one word."""
    digits = -(-chunk_bits * chunks.shape[1] // 4)
    lines = []
    for row in chunks.tolist() or [[0] * chunks.shape[1]]:
        word = 0
        for i, chunk in enumerate(row):
            word |= chunk << i * chunk_bits
        lines.append(f"{word:0{digits}x}\n")
    return "".join(lines)
