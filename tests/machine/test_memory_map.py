"""The memory map: an engine's memories, their numbers, how far image addresses reach."""

import re
from typing import Any

import pytest

from tests.hw.support import SMALL_COMPACT, small_params
from weft.machine.images import WORD_BITS
from weft.machine.memory_map import Level, MemoryMap, MemorySpec, memory_map


def spec(name: str = "m", **changes: Any) -> MemorySpec:
    return MemorySpec(**{"name": name, "width": 72, "depth": 8, "grain": 36} | changes)


def test_memories_of_an_engine() -> None:
    p = small_params(lanes=6, columns=8, vector_taps=3, act_words=(40, 50), weight_words=100)
    found = memory_map(p)
    assert found.names == (
        "registers", "program", "array_params", "vector_params", "vector", "weights",
    )  # fmt: skip
    specs = {memory.name: memory for memory in found.memories}
    assert specs["weights"] == MemorySpec(name="weights", width=64, depth=100, banks=6, grain=32)
    assert (specs["weights"].bank_bits, specs["weights"].part_bits) == (3, 1)
    assert specs["weights"].address_bits == 7 + 3 + 1
    assert specs["activations_1"] == MemorySpec(
        name="activations_1", width=48, depth=50, grain=8, writable=False
    )
    assert found.number("weights") == 5
    assert found.base("weights") == 5 << WORD_BITS
    assert found.number_bits == 3
    assert "weights" in found
    assert "activations_1" not in found
    with pytest.raises(ValueError, match="not in tuple"):
        found.number("activations_1")


def test_numbers_follow_the_memories_that_there_are() -> None:
    """A compact engine has one output path; its store and its activations may be large blocks."""
    assert memory_map(small_params(SMALL_COMPACT)).names == (
        "registers", "program", "array_params", "vector", "weights",
    )  # fmt: skip
    streamed = small_params(SMALL_COMPACT, single_port=True, streamed=True, store_words=300)
    large = memory_map(streamed)
    assert large.names[-1] == "store"
    levels = {memory.name: (memory.level, memory.ports) for memory in large.memories}
    assert levels["store"] == levels["activations_0"] == (Level.LARGE, 1)
    assert levels["weights"] == (Level.BLOCK, 2)


def test_a_map_of_many_memories() -> None:
    memories = tuple(spec(f"m{i}") for i in range(255))
    found = MemoryMap(memories=memories)
    assert found.base("m254") == 255 << WORD_BITS
    assert found.number_bits == 8
    with pytest.raises(
        ValueError, match=r"^image writes must reach at most 255 memories, not 256$"
    ):
        MemoryMap(memories=(*memories, spec("one_more")))
    MemoryMap(memories=(*memories, spec("one_more", writable=False)))


@pytest.mark.parametrize("names", [("a", "b", "a"), ("registers",)])
def test_names_are_taken_once(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^memories must have names of their own$"):
        MemoryMap(memories=tuple(map(spec, names)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 0}, "memory m: depth must be 1 or more, not 0"),
        ({"grain": 35}, "memory m: grain must divide the width of 72 bits, not be 35"),
        (
            {"grain": 72},
            "memory m: grain must be 36 bits or less, as an image write has, not 72",
        ),
    ],
)
def test_specs_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        spec(**changes)


BEYOND = [
    ({"weight_words": (1 << 22) + 1}, "weights", 25),  # of 4 rows of one chunk
    ({"vector_words": (1 << 24) + 1}, "vector", 25),  # of one chunk
    ({"param_words": ((1 << 22) + 1, 1)}, "array_params", 25),  # of 4 chunks
    ({"param_words": (1, (1 << 23) + 1)}, "vector_params", 26),
    ({"program_words": (1 << 24) + 1}, "program", 25),
]


@pytest.mark.parametrize(("changes", "name", "bits"), BEYOND)
def test_memories_beyond_the_addresses(changes: dict[str, Any], name: str, bits: int) -> None:
    message = f"memory {name} must take at most 24 bits of image address, not {bits}"
    with pytest.raises(ValueError, match=f"^{message}$"):
        memory_map(small_params(**changes))


@pytest.mark.parametrize(
    ("memory", "depth"),
    [
        ("weight_words", 1 << WORD_BITS - 2),
        ("vector_words", 1 << WORD_BITS),
        ("param_words", (1 << WORD_BITS - 2, 1)),
        ("param_words", (1, 1 << WORD_BITS - 2)),
        ("program_words", 1 << WORD_BITS),
    ],
)
def test_deepest_memories(memory: str, depth: Any) -> None:
    memory_map(small_params(**{memory: depth}))
