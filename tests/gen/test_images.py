"""Memory images: every field and weight is where the hardware looks for it."""

from collections.abc import Iterator

import numpy as np
import pytest
from amaranth.lib import data

from tests.e2e.layers import Layers
from tests.mapper.support import ENDLESS, engine
from weft.gen.hardware import engine_params, registers
from weft.gen.images import back_fields, front_fields, hex_files, image_writes, program
from weft.hw import step as layout
from weft.hw.host import Image
from weft.hw.params import CHUNK_BITS, IMAGE_ADDRESS_BITS
from weft.mapper.build import build
from weft.mapper.plan import Plan, Step
from weft.nn.graph import Window

ENGINES = [(1, 1, 1), (4, 8, 2), (6, 3, 3), (5, 7, 1), (12, 6, 6), (3, 16, 1)]


def network(sizes: tuple[int, int, int], wide_weights: bool = False) -> Plan:
    """A plan with array, vector and pair steps; 9-bit weights if wanted."""
    layers = Layers(rng=np.random.default_rng(sum(sizes)), wide_weights=wide_weights)
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    source = layers.input((5, 4, 6))
    deep = layers.conv(source, 5, 5, same)
    mixed = layers.conv(deep, 9, 1, same)
    summed = layers.add(source, layers.conv(mixed, 5, 1, Window(kernel=(1, 1))))
    output = layers.concat([summed, layers.max_pool(summed.replace(name=summed.name))][:1] * 2)
    return build(layers.graph("n", [output, layers.tensors[-2]]), ENDLESS, engine(*sizes), 0)


@pytest.fixture(params=[*((s, False) for s in ENGINES), ((4, 4, 2), True)], ids=str, scope="module")
def plan(request: pytest.FixtureRequest) -> Plan:
    sizes, wide = request.param
    return network(sizes, wide)


def unpacked(part: data.StructLayout, words: list[int]) -> dict[str, int]:
    """Fields of one part of a step word, as unsigned numbers."""
    word = sum(chunk << CHUNK_BITS * i for i, chunk in enumerate(words))
    return {str(n): word >> f.offset & (1 << f.width) - 1 for n, f in part}


def test_step_words_hold_every_field(plan: Plan) -> None:
    params = engine_params(plan.engine)
    words = iter(program(plan))
    for i, step in enumerate(plan.steps):
        last = i == len(plan.steps) - 1
        for part, fields in (
            (layout.front_layout(params), front_fields(step)),
            (layout.back_layout(params), back_fields(step, last)),
        ):
            chunks = [next(words) for _ in range(layout.chunks(part))]
            found = unpacked(part, chunks)
            assert set(found) == set(fields)
            for name, field in part:
                assert found[str(name)] == fields[str(name)] % (1 << field.width), name
    assert next(words, None) is None
    assert len(program(plan)) == plan.engine.memories.program


def rows(text: str) -> list[int]:
    return [int(line, 16) for line in text.splitlines()]


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def lanes_of(word: int, count: int, bits: int) -> list[int]:
    return [signed(word >> i * bits & (1 << bits) - 1, bits) for i in range(count)]


def test_hex_files_are_the_arrays(plan: Plan) -> None:
    files = dict(hex_files(plan))
    machine, images = plan.engine, plan.images
    bits = machine.weight_bits
    names = ["program.hex", "params.hex", "vector.hex"]
    assert list(files) == names + [f"weights_{k}.hex" for k in range(machine.lanes)]
    assert rows(files["program.hex"]) == program(plan)
    for k in range(machine.lanes):
        found = [lanes_of(w, machine.columns, bits) for w in rows(files[f"weights_{k}.hex"])]
        np.testing.assert_array_equal(found, images.weights[:, k])
    found = [lanes_of(word, machine.lanes, bits) for word in rows(files["vector.hex"])]
    np.testing.assert_array_equal(found, images.vector)
    for word, (bias, factor, shift) in enumerate(
        zip(images.bias, images.factor, images.shift, strict=True)
    ):
        value = rows(files["params.hex"])[word]
        for r in range(machine.requant_lanes):
            lane = value >> 2 * CHUNK_BITS * r
            assert signed(lane & 0xFFFFFFFF, 32) == bias[r]
            assert lane >> 32 & 7 == shift[r]
            assert lane >> CHUNK_BITS & 0xFFFFFFFF == factor[r]


def test_hex_lines_have_the_width_of_the_memory(plan: Plan) -> None:
    widths = {
        "program.hex": CHUNK_BITS,
        "params.hex": 2 * CHUNK_BITS * plan.engine.requant_lanes,
        "vector.hex": plan.engine.lanes * plan.engine.weight_bits,
    }
    for name, text in hex_files(plan):
        bits = widths.get(name, plan.engine.columns * plan.engine.weight_bits)
        assert {len(line) for line in text.splitlines()} == {-(-bits // 4)}, name


def test_empty_memories_have_one_word() -> None:
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    output = layers.rescale(layers.input((3, 2, 2)))
    made = build(layers.graph("r", [output]), ENDLESS, engine(4, 4), 0)
    files = dict(hex_files(made))
    assert files["vector.hex"] == files["weights_0.hex"] == "00000000\n"


def memories(plan: Plan) -> Iterator[tuple[Image, tuple[int, ...], int]]:
    """(memory, indices, data) of every image write, its address taken apart as hardware does."""
    params = engine_params(plan.engine)
    chunks = {
        Image.REGISTER: (0, 0),
        Image.PROGRAM: (0, 0),
        Image.PARAM: (0, (params.param_chunks - 1).bit_length()),
        Image.VECTOR: (0, (params.vector_chunks - 1).bit_length()),
        Image.WEIGHT: (params.row_bits, (params.weight_chunks - 1).bit_length()),
    }
    for address, value in image_writes(plan).tolist():
        image = Image(address >> IMAGE_ADDRESS_BITS - 3)
        row_bits, chunk_bits = chunks[image]
        rest = address & (1 << IMAGE_ADDRESS_BITS - 3) - 1
        chunk = rest & (1 << chunk_bits) - 1
        row = rest >> chunk_bits & (1 << row_bits) - 1
        assert 0 <= value < 1 << CHUNK_BITS
        yield image, (rest >> chunk_bits >> row_bits, row, chunk), value


def test_image_writes_fill_the_same_memories(plan: Plan) -> None:
    """What the host writes is what the hex files hold, each chunk once."""
    params, machine = engine_params(plan.engine), plan.engine
    addresses = image_writes(plan)[:, 0]
    assert len(np.unique(addresses)) == len(addresses)
    assert addresses.max() < 1 << IMAGE_ADDRESS_BITS
    bits = {
        Image.PROGRAM: CHUNK_BITS,
        Image.PARAM: CHUNK_BITS,
        Image.VECTOR: machine.lanes * machine.weight_bits // params.vector_chunks,
        Image.WEIGHT: machine.columns * machine.weight_bits // params.weight_chunks,
    }
    found: dict[str, dict[int, int]] = {}
    host = {}
    for image, (word, row, chunk), value in memories(plan):
        if image is Image.REGISTER:
            host[word] = value
            continue
        assert value < 1 << bits[image]
        name = {Image.PROGRAM: "program", Image.PARAM: "params", Image.VECTOR: "vector"}
        memory = found.setdefault(f"{name.get(image, f'weights_{row}')}.hex", {})
        memory[word] = memory.get(word, 0) | value << chunk * bits[image]
    assert host == dict(enumerate(registers(plan)))
    for name, text in hex_files(plan):
        assert found[name] == dict(enumerate(rows(text))), name


OVERFLOWS = [
    ("zero_point", 128),
    ("zero_point", -129),
    ("low", 200),
    ("high", -1000),
    ("multiplier", 1 << 32),
    ("multiplier", -1),
]


@pytest.mark.parametrize(("field", "value"), OVERFLOWS)
def test_fields_do_not_overflow_silently(field: str, value: int) -> None:
    made = network((4, 8, 2))
    step = made.steps[0]
    wrong = step.replace(output=step.output.replace(**{field: value}))
    bits = 32 if field == "multiplier" else 8
    _refused(made, wrong, f"step field {field}: {value} does not fit {bits} bits")


def test_counts_do_not_overflow_silently() -> None:
    made = network((4, 8, 2))
    step = made.steps[0]
    read, write = step.read, step.write
    for wrong, text in (
        (step.replace(loops=step.loops.replace(rows=4096)), "n_row: 4096 does not fit 12"),
        (step.replace(loops=step.loops.replace(hold=-1)), "hold: -1 does not fit"),
        (step.replace(read=read.replace(pad_value=128)), "pad_value: 128 does not fit 8"),
        (step.replace(read=read.replace(y=read.y.replace(origin=8192))), "y0: 8192 does not fit"),
        (step.replace(read=read.replace(x=read.x.replace(move=4096))), "x_col: 4096 does not fit"),
        (step.replace(read=read.replace(x=read.x.replace(size=-1))), "width: -1 does not fit"),
        (step.replace(write=write.replace(group=2)), "out_group: 2 does not fit 1"),
        (step.replace(write=write.replace(first_lanes=4)), "first_lanes: 4 does not fit 2"),
        (step.replace(param_base=1 << 20), "param_base: 1048576 does not fit"),
        (step.replace(weight_base=-1), "weight_base: -1 does not fit"),
    ):
        _refused(made, wrong, text)


def _refused(made: Plan, wrong: Step, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        program(made.replace(steps=(wrong, *made.steps[1:])))


def test_addresses_wrap_around_the_memory() -> None:
    """Padding begins before the buffer: addresses are counted modulo the memory's size."""
    made = network((4, 8, 2))
    step = made.steps[0]
    assert step.read.base < 0
    part = layout.front_layout(engine_params(made.engine))
    found = unpacked(part, program(made)[: layout.chunks(part)])
    assert found["act_base"] == step.read.base % (1 << part["act_base"].width)
