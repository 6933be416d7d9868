"""Memory images: what the plan's steps, weights and parameters look like in the memories."""

from collections.abc import Iterator

import numpy as np

from weft.machine.engine import Engine
from weft.machine.fields import BACK, FRONT, LOAD, encode, part_chunks, values
from weft.machine.images import (
    CHUNK_BITS,
    PARAM_CHUNKS,
    STORE_BITS,
    WORD_BITS,
    Word,
    index_bits,
    vector_word,
    weight_word,
)
from weft.machine.loads import Load, by_step, loads_of
from weft.machine.memory_map import PROGRAM, REGISTERS, STORE, memory_map
from weft.machine.plan import Content, Params, Plan


def registers(plan: Plan) -> tuple[int, int, int, int]:
    """Initial values of the host registers: place and size of inputs and outputs, in words."""
    bank = plan.engine.act_address_bits
    bases = [region.bank << bank | region.base for region in (plan.inputs, plan.outputs)]
    return (bases[0], plan.inputs.words, bases[1], plan.outputs.words)


def program(plan: Plan) -> list[int]:
    """Program memory: the chunks of all steps, front part first."""
    engine = plan.engine
    loads = by_step(engine, plan.transfers)
    words = []
    for i, step in enumerate(plan.steps):
        last = {"last_step": int(i == len(plan.steps) - 1)}
        for load in loads.get(i, ()):
            words += _loader_step(engine, load)
        words += encode(FRONT, engine, values(FRONT, step))
        words += encode(BACK, engine, values(BACK, step) | last)
    return words


def _loader_step(engine: Engine, load: Load) -> list[int]:
    """The step word of a load: its own fields in the place of the front part."""
    memory = {"memory": memory_map(engine).number(load.content.value)}
    front = encode(LOAD, engine, values(LOAD, load) | memory)
    front += [0] * (part_chunks(FRONT, engine) - len(front))
    return front + encode(BACK, engine, {field.name: int(field.name == "load") for field in BACK})


def parameters(params: Params) -> np.ndarray:
    """Parameter memory as image chunks [words, 2 * R]: bias and shift, then factor, per lane."""
    low = (params.bias & 0xFFFFFFFF) | params.shift << 32
    return np.stack([low, params.factor], axis=2).reshape(len(low), 2 * low.shape[1])


def weight_chunks(weights: np.ndarray, word: Word) -> np.ndarray:
    """Weights [..., fields] as image chunks [..., chunks], the first field lowest."""
    size = word.chunk_fields
    split = weights.reshape(*weights.shape[:-1], word.chunks, size).astype(np.int64)
    split &= (1 << word.bits) - 1
    return (split << word.bits * np.arange(size)).sum(axis=-1)


def array_chunks(weights: np.ndarray, engine: Engine) -> np.ndarray:
    """The array's weights [..., N] as image chunks."""
    low, high = engine.rows.limits(engine.weight_bits)
    assert not weights.size or (low <= weights.min() and weights.max() <= high)
    return weight_chunks(engine.rows.pack(weights), weight_word(engine))


def contents(plan: Plan) -> dict[Content, np.ndarray]:
    """The plan's images as image chunks: int64 [words, ...]."""
    engine, images = plan.engine, plan.images[0]
    return {
        Content.ARRAY_PARAMS: parameters(images.array_params),
        Content.VECTOR_PARAMS: parameters(images.vector_params),
        Content.VECTOR: weight_chunks(images.vector, vector_word(engine)),
        Content.WEIGHTS: array_chunks(images.weights, engine),
    }


def image_writes(plan: Plan) -> np.ndarray:
    """All images as writes through the host port: int64 [n, 2] of (address, data)."""
    memories = memory_map(plan.engine)
    images = {
        REGISTERS: np.array(registers(plan)).reshape(-1, 1),
        PROGRAM: np.array(program(plan), dtype=np.int64).reshape(-1, 1),
    }
    if plan.engine.has_store:
        images[STORE] = store(plan).reshape(-1, 1)
    else:
        images |= {c.value: chunks for c, chunks in contents(plan).items()}
    # An engine without a memory has nothing for it.
    filled = {name: chunks for name, chunks in images.items() if chunks.size}
    return np.concatenate([_addressed(memories.base(name), filled[name]) for name in filled])


def uploads(plan: Plan) -> np.ndarray:
    """The writes that a host makes before the first run, because no bitstream holds them."""
    if not plan.engine.has_store:
        return np.zeros((0, 2), np.int64)
    return _addressed(memory_map(plan.engine).base(STORE), store(plan).reshape(-1, 1))


def store(plan: Plan) -> np.ndarray:
    """The store's words: the chunks of all loads in the order of their image addresses."""
    words = np.zeros(plan.engine.memories.store, np.int64)
    chunks = contents(plan)
    for load in loads_of(plan.engine, plan.transfers):
        part = chunks[load.content][load.first : load.first + load.words]
        holes = [(0, (1 << index_bits(n)) - n) for n in part.shape[1:]]
        stream = np.pad(part, [(0, 0), *holes]).reshape(-1, 1)
        assert len(stream) == load.chunks
        if load.wide:
            low = stream & (1 << STORE_BITS) - 1
            stream = np.concatenate([low, stream >> STORE_BITS], axis=1)
        words[load.source : load.source + load.store_words] = stream.ravel()
    return words


def image_memories(plan: Plan) -> list[str]:
    """What image writes reach, by number: the registers, then the memories."""
    return list(memory_map(plan.engine).names)


def image_limits(plan: Plan) -> list[int]:
    """For each number of a memory, the first address beyond the plan's image.

    The registers have none: they belong to the design.
    """
    memory, place = np.divmod(image_writes(plan)[:, 0], 1 << WORD_BITS)
    numbers = range(1, len(image_memories(plan)))
    return [0, *(int(place[memory == number].max(initial=-1)) + 1 for number in numbers)]


UPLOAD_FILE = "upload.bin"
"""All images as records of 9 bytes: 36 bits of data in 5, 32 bits of address in 4, low first."""

UPLOAD_RECORD = np.dtype([("data", "<u4"), ("high", "u1"), ("address", "<u4")])


def upload_records(plan: Plan) -> bytes:
    """The image writes of a whole network, the registers' apart, as ``UPLOAD_FILE`` has them."""
    address, data = image_writes(plan).T
    records = np.zeros(len(data), UPLOAD_RECORD)
    records["data"], records["high"], records["address"] = data & 0xFFFFFFFF, data >> 32, address
    return records[address >> WORD_BITS != 0].tobytes()


def _addressed(base: int, chunks: np.ndarray) -> np.ndarray:
    """(address, data) of every chunk: from ``base`` on, each index in bits of its own."""
    address = np.zeros((1,) * chunks.ndim, dtype=np.int64)
    for axis, size in enumerate(chunks.shape):
        bits = index_bits(size) if axis else 0
        shape = [1] * chunks.ndim
        shape[axis] = size
        address = (address << bits) | np.arange(size).reshape(shape)
    address = address | base
    return np.stack([np.broadcast_to(address, chunks.shape).ravel(), chunks.ravel()], axis=1)


def hex_files(plan: Plan) -> Iterator[tuple[str, str]]:
    """(file name, text) of every memory's image, one word per line for $readmemh."""
    engine = plan.engine
    chunks = contents(plan)
    if engine.has_store:  # the loader fills these memories
        chunks = {content: part[:0] for content, part in chunks.items()}
    yield "program.hex", _hex(np.array(program(plan)).reshape(-1, 1), CHUNK_BITS)
    for content in (Content.ARRAY_PARAMS, Content.VECTOR_PARAMS):
        lanes = chunks[content].shape[1] // PARAM_CHUNKS
        for r, part in enumerate(np.split(chunks[content], lanes, axis=1)):
            yield f"{content.value}_{r}.hex", _hex(part, CHUNK_BITS)
    yield "vector.hex", _hex(chunks[Content.VECTOR], vector_word(engine).chunk_bits)
    for k in range(engine.lanes):
        bank = chunks[Content.WEIGHTS][:, k]
        yield f"weights_{k}.hex", _hex(bank, weight_word(engine).chunk_bits)


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
