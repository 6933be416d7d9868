"""Families: each has its facts, and no other family gets some by accident."""

import re

import pytest

from tests.mapper.support import ENDLESS
from weft.boards.families import lookup
from weft.machine.family import FAMILIES


def test_the_families_are_those_that_boards_can_have() -> None:
    assert list(FAMILIES) == list(lookup.FAMILIES)


def test_every_family_tries_some_engine() -> None:
    assert all(facts.overlapped or facts.compact for facts in FAMILIES.values())


def test_a_family_without_facts_is_refused() -> None:
    message = (
        "family must be one of ecp5, ice40, gowin, not 'nexus': weft.machine.family knows no other"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ENDLESS.replace(family="nexus")
