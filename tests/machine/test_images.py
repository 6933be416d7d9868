"""The image format: how words are cut into writes, and how far addresses reach."""

import pytest

from tests.hw.support import small_params
from weft.machine.engine import Style, Unit
from weft.machine.images import (
    CHUNK_BITS,
    PARAM_CHUNKS,
    Word,
    param_word,
    vector_word,
    weight_word,
)


@pytest.mark.parametrize(
    ("fields", "bits", "chunk"),
    [(1, 9, 1), (2, 9, 2), (3, 9, 3), (4, 9, 4), (5, 9, 1), (6, 9, 3), (8, 9, 4), (9, 9, 3),
     (14, 9, 2), (8, 8, 4), (1, 18, 1), (2, 18, 2), (3, 18, 1), (16, 18, 2)],
)  # fmt: skip
def test_fields_of_a_chunk(fields: int, bits: int, chunk: int) -> None:
    word = Word(fields=fields, bits=bits)
    assert word.chunk_fields == chunk
    assert word.chunk_bits == chunk * bits <= CHUNK_BITS
    assert word.chunks * word.chunk_bits == word.width == fields * bits


def test_chunks_of_a_weight_word() -> None:
    p = small_params(lanes=6, columns=8, vector_taps=3)
    assert weight_word(p) == Word(rows=6, fields=8, bits=8)
    assert (weight_word(p).chunks, weight_word(p).row_bits, weight_word(p).address_bits) == (
        2,
        3,
        4,
    )
    assert vector_word(p) == Word(fields=18, bits=8)
    assert (vector_word(p).chunks, vector_word(p).address_bits) == (6, 3)
    p = small_params(columns=6, weight_bits=9, vector_taps=2)
    assert weight_word(p) == Word(rows=4, fields=6, bits=9)
    assert (weight_word(p).chunks, vector_word(p).chunks) == (2, 2)
    p = small_params(columns=6, array_multiplier=Style.PACKED)
    assert weight_word(p) == Word(rows=4, fields=3, bits=18)
    assert weight_word(p).chunks == 3
    assert weight_word(small_params(columns=8, array_multiplier=Style.PACKED)).chunks == 2


def test_parameters_of_each_lane_are_two_chunks() -> None:
    p = small_params(array_requant=4, vector_requant=1)
    words = [param_word(p, unit) for unit in Unit]
    assert [word.chunks for word in words] == [4 * PARAM_CHUNKS, PARAM_CHUNKS]
    assert [word.address_bits for word in words] == [3, 1]
