"""Streamed images: every word is loaded before the step that reads it, and where it belongs."""

import numpy as np
import pytest

from tests.e2e.random_networks import random_network
from tests.mapper.support import ENDLESS, compact
from weft.gen.hardware import engine_params
from weft.gen.images import SELECT, contents, image_writes, store
from weft.hw.host import Image
from weft.hw.params import IMAGE_ADDRESS_BITS
from weft.machine.plan import Content, Load, Plan
from weft.mapper.build import build
from weft.mapper.loads import STORE_BITS, write_shape


@pytest.fixture(scope="module", params=[(2, 6), (3, 5), (4, 16), (5, 1)], ids=str)
def made(request: pytest.FixtureRequest) -> Plan:
    machine = compact(*request.param, streamed=True)
    plans = (build(random_network(seed), ENDLESS, machine, 0) for seed in range(40))
    return max(plans, key=lambda plan: sum(len(step.loads) for step in plan.steps))


def loads(plan: Plan) -> list[Load]:
    return [load for step in plan.steps for load in step.loads]


def test_the_store_is_full_and_nothing_overlaps(made: Plan) -> None:
    end = 0
    for load in loads(made):
        assert load.source == end
        end += load.store_words
    assert end == made.engine.memories.store == len(store(made)) < 1 << STORE_BITS


def test_every_word_of_the_images_is_loaded_once(made: Plan) -> None:
    for content, chunks in contents(made).items():
        spans = [(x.first, x.first + x.words) for x in loads(made) if x.content is content]
        assert [i for first, end in spans for i in range(first, end)] == list(range(len(chunks)))


def test_replayed_writes_are_those_of_a_resident_image(made: Plan) -> None:
    """What the loader writes, hole by hole, is what a host would write to that memory."""
    words = store(made)
    for load in loads(made):
        stream = words[load.source : load.source + load.store_words]
        if load.wide:
            stream = stream[::2] | stream[1::2] << STORE_BITS
        part = contents(made)[load.content][load.first : load.first + load.words]
        shape = [1 << (n - 1).bit_length() for n in part.shape[1:]]
        grid = stream.reshape(load.words, *shape)
        for axis, n in enumerate(part.shape[1:], 1):
            grid = np.take(grid, range(n), axis)
        np.testing.assert_array_equal(grid, part)


def test_depths_hold_the_largest_segment(made: Plan) -> None:
    memories = made.engine.memories
    depths = {
        Content.WEIGHTS: memories.weight,
        Content.VECTOR: memories.vector,
        Content.ARRAY_PARAMS: memories.param[0],
        Content.VECTOR_PARAMS: memories.param[1],
    }
    for content, depth in depths.items():
        assert depth == max([1, *(x.words for x in loads(made) if x.content is content)])


def test_shapes_of_writes_are_those_of_the_hardware(made: Plan) -> None:
    params = engine_params(made.engine)
    rows = 1 << (params.lanes - 1).bit_length()
    power = 1 << (params.weight_chunks - 1).bit_length()
    assert write_shape(made.engine, Content.WEIGHTS)[0] == rows * power
    power = 1 << (params.vector_chunks - 1).bit_length()
    assert write_shape(made.engine, Content.VECTOR)[0] == power


def test_the_host_writes_registers_program_and_store(made: Plan) -> None:
    selects = image_writes(made)[:, 0] >> IMAGE_ADDRESS_BITS - 3
    assert set(selects) == {Image.REGISTER.value, Image.PROGRAM.value, Image.STORE.value}
    assert Image.STORE not in SELECT.values()
