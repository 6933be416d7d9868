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
from weft.machine.engine import Style, Styles
from weft.machine.fields import BACK, FRONT, part_chunks, step_chunks, values
from weft.machine.images import (
    CHUNK_BITS,
    IMAGE_ADDRESS_BITS,
    WORD_BITS,
)
from weft.machine.loads import by_step
from weft.machine.memory_map import memory_map
from weft.machine.plan import Plan, Step
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
    loads = by_step(params, plan.transfers)
    expected = [part for i, step in enumerate(plan.steps) for part in (*loads.get(i, ()), step)]
    assert len(words) == n_step * len(expected)
    assert bool(loads) == streamed
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
            assert load["memory"] == memory_map(params).number(item.content.value)


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
    machine, images = plan.engine, plan.images[0]
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
    images = made.images[0]
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
    first = made.images[0].vector[0]
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


def memories(plan: Plan) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """(memory, indices, data) of every image write, its address taken apart as hardware does."""
    known = memory_map(plan.engine)
    specs = {spec.name: spec for spec in known.memories}
    for address, value in image_writes(plan).tolist():
        name = known.names[address >> WORD_BITS]
        spec = specs.get(name)
        bank_bits, part_bits = (spec.bank_bits, spec.part_bits) if spec else (0, 0)
        rest = address & (1 << WORD_BITS) - 1
        part = rest & (1 << part_bits) - 1
        bank = rest >> part_bits & (1 << bank_bits) - 1
        assert 0 <= value < 1 << (spec.grain if spec else CHUNK_BITS)
        yield name, (rest >> part_bits >> bank_bits, bank, part), value


def test_image_writes_fill_the_same_memories(plan: Plan) -> None:
    """What the host writes is what the hex files hold, each chunk once."""
    addresses = image_writes(plan)[:, 0]
    assert len(np.unique(addresses)) == len(addresses)
    assert addresses.max() < 1 << IMAGE_ADDRESS_BITS
    grains = {spec.name: spec.grain for spec in memory_map(plan.engine).memories}
    found: dict[str, dict[int, int]] = {}
    host = {}
    for name, (word, bank, part), value in memories(plan):
        if name == "registers":
            host[word] = value
            continue
        if name.endswith("_params"):
            bank, part = divmod(part, 2)
        file = f"{name}.hex" if name in ("program", "vector") else f"{name}_{bank}.hex"
        memory = found.setdefault(file, {})
        memory[word] = memory.get(word, 0) | value << part * grains[name]
    assert host == dict(enumerate(registers(plan)))
    for name, text in hex_files(plan):
        assert found[name] == dict(enumerate(rows(text))), name
