"""Streamed images: every word is loaded before the step that reads it, and where it belongs."""

import numpy as np
import pytest

from tests.e2e.random_networks import random_network
from tests.mapper.support import ENDLESS, compact
from weft.machine.encode import contents, image_writes, store
from weft.machine.images import STORE_BITS, WORD_BITS
from weft.machine.loads import Load, loads_of
from weft.machine.memory_map import memory_map
from weft.machine.plan import Content, Plan
from weft.mapper.build import build


@pytest.fixture(scope="module", params=[(2, 6), (3, 5), (4, 16), (5, 1)], ids=str)
def made(request: pytest.FixtureRequest) -> Plan:
    machine = compact(*request.param, streamed=True)
    plans = (build(random_network(seed), ENDLESS, machine, 0) for seed in range(40))
    return max(plans, key=lambda plan: len(plan.transfers))


def loads(plan: Plan) -> list[Load]:
    return loads_of(plan.engine, plan.transfers)


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


def test_the_host_writes_registers_program_and_store(made: Plan) -> None:
    names = memory_map(made.engine).names
    numbers = set(image_writes(made)[:, 0] >> WORD_BITS)
    assert {names[number] for number in numbers} == {"registers", "program", "store"}
