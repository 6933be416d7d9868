"""Memory images: every field and weight is where the hardware looks for it."""

from collections.abc import Iterator

import numpy as np
import pytest
from amaranth.lib import data

from tests.e2e.layers import Layers
from tests.e2e.random_networks import random_network
from tests.mapper.support import ENDLESS, compact, engine
from weft.hw import step as layout
from weft.machine.encode import array_chunks, hex_files, image_writes, program, registers
from weft.machine.engine import Style, Styles, Unit
from weft.machine.fields import BACK, FRONT, part_chunks, step_chunks, values
from weft.machine.images import (
    CHUNK_BITS,
    IMAGE_ADDRESS_BITS,
    SELECT,
    WORD_BITS,
    Image,
    index_bits,
    param_word,
    vector_word,
    weight_word,
)
from weft.machine.plan import Follow, Plan, Step
from weft.machine.rows import PackedRow
from weft.mapper.build import build
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.window import Window

Sizes = tuple[int, ...]
ENGINES: list[Sizes] = [
    (1, 1, 1, 1, 1),
    (4, 8, 2, 4, 3),
    (6, 3, 3, 1, 2),
    (5, 7, 1, 5, 1),
    (12, 6, 6, 2, 1),
    (3, 16, 1, 3, 4),
]
"""Lanes, columns, results of the array and of the vector unit per cycle, taps."""


def network(sizes: Sizes, wide_weights: bool = False, style: Style = Style.DSP) -> Plan:
    """A plan with array, vector and pair steps; 9-bit weights if wanted."""
    layers = Layers(rng=np.random.default_rng(sum(sizes)), wide_weights=wide_weights)
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    source = layers.input((5, 4, 6))
    deep = layers.conv(source, 5, 5, same)
    mixed = layers.conv(deep, 9, 1, same)
    summed = layers.add(source, layers.conv(mixed, 5, 1, Window(kernel=(1, 1))))
    output = layers.concat([summed, layers.max_pool(summed.replace(name=summed.name))][:1] * 2)
    layers.operators[:] = [
        op.replace(weight=np.maximum(op.weight, -127)) if isinstance(op, Conv) else op
        for op in layers.operators
    ]
    machine = engine(*sizes).replace(styles=Styles(array=style))
    return build(layers.graph("n", [output, layers.tensors[-2]]), ENDLESS, machine, 0)


CASES = [
    *((sizes, False, Style.DSP) for sizes in ENGINES),
    ((4, 4, 2, 1, 3), True, Style.DSP),
    ((4, 8, 2, 4, 3), False, Style.PACKED),
    ((3, 2, 1, 1, 1), False, Style.PACKED),
]


@pytest.fixture(params=CASES, ids=str, scope="module")
def plan(request: pytest.FixtureRequest) -> Plan:
    return network(*request.param)


def unpacked(part: data.StructLayout, words: list[int]) -> dict[str, int]:
    """Fields of one part of a step word, as unsigned numbers."""
    word = sum(chunk << CHUNK_BITS * i for i, chunk in enumerate(words))
    return {str(n): word >> f.offset & (1 << f.width) - 1 for n, f in part}


PRODUCT_FIELDS = {"stay", "stay_base", "product", "zero_first", "zero_second"}
"""Of engines that multiply activations with each other."""


def test_step_words_hold_every_field(plan: Plan) -> None:
    hold_every_field(plan, {"load"} | PRODUCT_FIELDS)  # the first, of engines with a store


def test_step_words_of_products() -> None:
    layers = Layers(rng=np.random.default_rng(1), wide_weights=False)
    source = layers.input((5, 4, 3))
    gated = layers.mul(source, layers.input((5, 1, 1)))
    graph = layers.graph("products", [layers.add(gated, source, minus=True)])
    plan = build(graph, ENDLESS, engine(4, 4, 2, 2), 0)
    hold_every_field(plan, {"load"})
    fields = [values(FRONT, step) | values(BACK, step) for step in plan.steps]
    assert [(f["stay"], f["product"], f["pair"]) for f in fields] == [(1, 1, 0), (0, 1, 1)]


def hold_every_field(plan: Plan, absent: set[str]) -> None:
    params = plan.engine
    words = iter(program(plan))
    for i, step in enumerate(plan.steps):
        last = {"last_step": int(i == len(plan.steps) - 1)}
        for part, fields in (
            (layout.front_layout(params), values(FRONT, step)),
            (layout.back_layout(params), values(BACK, step) | last),
        ):
            chunks = [next(words) for _ in range(-(-part.size // CHUNK_BITS))]
            found = unpacked(part, chunks)
            assert set(fields) - set(found) <= absent
            for name, field in part:
                assert found[str(name)] == fields[str(name)] % (1 << field.width), name
    assert next(words, None) is None
    assert len(program(plan)) == plan.engine.memories.program


@pytest.mark.parametrize("streamed", [False, True])
def test_step_words_of_a_compact_engine(streamed: bool) -> None:
    """Loads come before their step, in step words of their own."""
    plan = build(random_network(3), ENDLESS, compact(3, 5, streamed=streamed), 0)
    params = plan.engine
    front, back = layout.front_layout(params), layout.back_layout(params)
    words = program(plan)
    n_front, n_step = part_chunks(FRONT, params), step_chunks(params)
    assert len(words) == plan.engine.memories.program
    expected = [part for step in plan.steps for part in (*step.loads, step)]
    assert len(words) == n_step * len(expected)
    assert any(step.loads for step in plan.steps) == streamed
    for i, item in enumerate(expected):
        word = words[i * n_step : (i + 1) * n_step]
        ends = unpacked(back, word[n_front:])
        assert ends.get("load", 0) == int(not isinstance(item, Step))
        assert ends["last_step"] == int(i == len(expected) - 1)
        if isinstance(item, Step):
            begins, fields = unpacked(front, word[:n_front]), values(FRONT, item)
            absent = set(fields) - set(begins)
            assert {"follow", "need", "lead"} == absent - PRODUCT_FIELDS
            assert begins["n_row"] == item.loops.rows
        else:
            part = layout.load_layout(params)
            load = unpacked(part, word[: -(-part.size // CHUNK_BITS)])
            assert (load["source"], load["count"]) == (item.source, item.chunks)
            assert load["image"] >> WORD_BITS == SELECT[item.content].value


def rows(text: str) -> list[int]:
    return [int(line, 16) for line in text.splitlines()]


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def lanes_of(word: int, count: int, bits: int) -> list[int]:
    return [signed(word >> i * bits & (1 << bits) - 1, bits) for i in range(count)]


def array_lanes(plan: Plan, word: int) -> list[int]:
    """The N weights of a word of a bank; a packed pair is one number, the first one lowest."""
    machine = plan.engine
    if machine.styles.array is not Style.PACKED:
        return lanes_of(word, machine.columns, machine.weight_bits)
    weights = []
    for pair in lanes_of(word, machine.columns // 2, 18):
        low = signed(pair & 0xFF, 8)
        assert (pair - low) % (1 << PackedRow.SHIFT) == 0
        weights += [low, pair - low >> PackedRow.SHIFT]
    return weights


def test_hex_files_are_the_arrays(plan: Plan) -> None:
    files = dict(hex_files(plan))
    machine, images = plan.engine, plan.images
    array, vector = (
        [f"{unit}_params_{r}.hex" for r in range(count)]
        for unit, count in (("array", machine.array_requant), ("vector", machine.vector_requant))
    )
    names = ["program.hex", *array, *vector, "vector.hex"]
    assert list(files) == names + [f"weights_{k}.hex" for k in range(machine.lanes)]
    assert rows(files["program.hex"]) == program(plan)
    for k in range(machine.lanes):
        found = [array_lanes(plan, word) for word in rows(files[f"weights_{k}.hex"])]
        np.testing.assert_array_equal(found, images.weights[:, k])
    n_vector = machine.vector_taps * machine.lanes
    found = [lanes_of(w, n_vector, machine.weight_bits) for w in rows(files["vector.hex"])]
    np.testing.assert_array_equal(found, images.vector)
    for names, params in ((array, images.array_params), (vector, images.vector_params)):
        for r, name in enumerate(names):
            lanes = rows(files[name])
            assert [signed(lane & 0xFFFFFFFF, 32) for lane in lanes] == params.bias[:, r].tolist()
            assert [lane >> 32 & 7 for lane in lanes] == params.shift[:, r].tolist()
            factors = [lane >> CHUNK_BITS & 0xFFFFFFFF for lane in lanes]
            assert factors == params.factor[:, r].tolist()


def test_each_output_path_has_parameters_of_its_own_width() -> None:
    made = network((12, 6, 6, 2, 1))
    images = made.images
    assert images.array_params.bias.shape[1] == 6
    assert images.vector_params.bias.shape[1] == 2
    assert len(images.array_params.bias) == made.engine.memories.param[0]
    assert len(images.vector_params.bias) == made.engine.memories.param[1]


@pytest.mark.parametrize("low", [-127, -1, 0, 1, 127])
@pytest.mark.parametrize("high", [-127, -1, 0, 1, 127])
def test_packed_pairs_are_one_number(low: int, high: int) -> None:
    """18 bits, two to a chunk, of which the multiplier's sums can be taken apart again."""
    params = network((3, 4, 1, 1, 1), style=Style.PACKED).engine
    words = np.array([[low, high, 0, 0], [0, 0, low, high]], dtype=np.int16)
    number = ((high << PackedRow.SHIFT) + low) & (1 << 18) - 1
    assert array_chunks(words, params).tolist() == [[number], [number << 18]]


def test_plain_columns_are_one_field_each() -> None:
    params = network((3, 4, 1, 1, 1)).engine
    words = np.array([[1, -1, 2, -128]], dtype=np.int16)
    assert array_chunks(words, params).tolist() == [[0x80_02_FF_01]]


def test_vector_words_hold_the_taps_one_after_the_other() -> None:
    """T x K weights: all lanes of sum 0 first."""
    made = network((4, 8, 2, 4, 3))
    (word, *_) = rows(dict(hex_files(made))["vector.hex"])
    first = made.images.vector[0]
    assert len(first) == 12
    for tap, lane in np.ndindex(3, 4):
        assert signed(word >> 8 * (tap * 4 + lane) & 0xFF, 8) == first[tap * 4 + lane]
    assert len({tuple(first[4 * tap : 4 * tap + 4]) for tap in range(3)}) == 3


def test_hex_lines_have_the_width_of_the_memory(plan: Plan) -> None:
    machine = plan.engine
    column = 9 if machine.styles.array is Style.PACKED else machine.weight_bits
    widths = {
        "program.hex": CHUNK_BITS,
        "vector.hex": machine.vector_taps * machine.lanes * machine.weight_bits,
    }
    for name, text in hex_files(plan):
        other = 2 * CHUNK_BITS if "params" in name else machine.columns * column
        bits = widths.get(name, other)
        assert {len(line) for line in text.splitlines()} == {-(-bits // 4)}, name


def test_empty_memories_have_one_word() -> None:
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    output = layers.rescale(layers.input((3, 2, 2)))
    made = build(layers.graph("r", [output]), ENDLESS, engine(4, 4), 0)
    files = dict(hex_files(made))
    assert files["vector.hex"] == files["weights_0.hex"] == "00000000\n"
    assert files["array_params_0.hex"] == "0" * 18 + "\n"


def memories(plan: Plan) -> Iterator[tuple[Image, tuple[int, ...], int]]:
    """(memory, indices, data) of every image write, its address taken apart as hardware does."""
    params = plan.engine
    chunks = {
        Image.REGISTER: (0, 0),
        Image.PROGRAM: (0, 0),
        Image.ARRAY_PARAM: (0, param_word(params, Unit.ARRAY).address_bits),
        Image.VECTOR_PARAM: (0, param_word(params, Unit.VECTOR).address_bits),
        Image.VECTOR: (0, vector_word(params).address_bits),
        Image.WEIGHT: (weight_word(params).row_bits, index_bits(weight_word(params).chunks)),
    }
    for address, value in image_writes(plan).tolist():
        image = Image(address >> WORD_BITS)
        row_bits, chunk_bits = chunks[image]
        rest = address & (1 << WORD_BITS) - 1
        chunk = rest & (1 << chunk_bits) - 1
        row = rest >> chunk_bits & (1 << row_bits) - 1
        assert 0 <= value < 1 << CHUNK_BITS
        yield image, (rest >> chunk_bits >> row_bits, row, chunk), value


def test_image_writes_fill_the_same_memories(plan: Plan) -> None:
    """What the host writes is what the hex files hold, each chunk once."""
    machine = plan.engine
    addresses = image_writes(plan)[:, 0]
    assert len(np.unique(addresses)) == len(addresses)
    assert addresses.max() < 1 << IMAGE_ADDRESS_BITS
    bits = {
        Image.PROGRAM: CHUNK_BITS,
        Image.ARRAY_PARAM: CHUNK_BITS,
        Image.VECTOR_PARAM: CHUNK_BITS,
        Image.VECTOR: vector_word(machine).chunk_bits,
        Image.WEIGHT: weight_word(machine).chunk_bits,
    }
    found: dict[str, dict[int, int]] = {}
    host = {}
    for image, (word, row, chunk), value in memories(plan):
        if image is Image.REGISTER:
            host[word] = value
            continue
        assert value < 1 << bits[image]
        if image in (Image.ARRAY_PARAM, Image.VECTOR_PARAM):
            row, chunk = divmod(chunk, 2)
        name = {
            Image.PROGRAM: "program",
            Image.ARRAY_PARAM: f"array_params_{row}",
            Image.VECTOR_PARAM: f"vector_params_{row}",
            Image.VECTOR: "vector",
        }
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
    made = network((4, 8, 2, 4, 3))
    step = made.steps[0]
    wrong = step.replace(output=step.output.replace(**{field: value}))
    bits = 32 if field == "multiplier" else 8
    _refused(made, wrong, f"step field {field}: {value} does not fit {bits} bits")


def test_counts_do_not_overflow_silently() -> None:
    made = network((4, 8, 2, 4, 3))
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
        (step.replace(write=write.replace(bank=2)), "write_bank: 2 does not fit 1"),
        (step.replace(read=read.replace(bank=2)), "read_bank: 2 does not fit 1"),
        (step.replace(follow=Follow(need=1 << 14)), "need: 16384 does not fit 14"),
        (step.replace(gap=128), "gap: 128 does not fit 7"),
        (step.replace(write=write.replace(first_lanes=16)), "first_lanes: 16 does not fit 4"),
        (step.replace(param_base=1 << 20), "param_base: 1048576 does not fit"),
        (step.replace(weight_base=-1), "weight_base: -1 does not fit"),
    ):
        _refused(made, wrong, text)


def _refused(made: Plan, wrong: Step, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        program(made.replace(steps=(wrong, *made.steps[1:])))


def test_addresses_wrap_around_the_memory() -> None:
    """Padding begins before the buffer: addresses are counted modulo the memory's size."""
    made = network((4, 8, 2, 4, 3))
    step = made.steps[0].replace(read=made.steps[0].read.replace(base=-5))
    part = layout.front_layout(made.engine)
    words = program(made.replace(steps=(step, *made.steps[1:])))
    found = unpacked(part, words[: -(-part.size // CHUNK_BITS)])
    assert found["act_base"] == (1 << part["act_base"].width) - 5
