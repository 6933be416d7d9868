"""Families: each has its facts and its costs, and no other family gets some by accident."""

import re
from pathlib import Path

import pytest

from tests.mapper.support import ENDLESS
from weft.boards.families import lookup
from weft.machine.family import COSTS, FAMILIES
from weft.machine.parts import Parts, Ram


def test_the_families_are_those_that_boards_can_have() -> None:
    assert list(FAMILIES) == list(lookup.FAMILIES)
    assert sorted(path.stem for path in COSTS.iterdir()) == sorted(FAMILIES)


def test_every_family_tries_some_engine() -> None:
    assert all(facts.overlapped or facts.compact for facts in FAMILIES.values())


def test_a_family_without_facts_is_refused() -> None:
    message = (
        "family must be one of ecp5, ice40, gowin, not 'nexus': weft.machine.family knows no other"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ENDLESS.replace(family="nexus")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_cost_has_a_source(name: str) -> None:
    for part, cost in FAMILIES[name].costs.items():
        assert set(cost) <= {"lut", "ff", "source"}, part
        assert cost["source"], part
        assert all(figure > 0 for unit, figure in cost.items() if unit != "source"), part


def test_a_part_without_a_cost_is_refused() -> None:
    """Not counted as nothing, nor as in another family."""
    strange = Parts(counts={"adder_bits": 8, "gears": 2, "belts": 0}, multipliers=(), rams=())
    message = "costs/ecp5.json has no costs of gears: run bench/resources.py --fit"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FAMILIES["ecp5"].resources(strange)


def test_large_memories_where_there_are_large_rams() -> None:
    """Block RAMs elsewhere."""
    ram = Ram(width=32, depth=16385, grain=32, large=True)
    parts = Parts(counts={}, multipliers=(), rams=(ram, ram.replace(large=False, depth=256)))
    found = {name: facts.resources(parts) for name, facts in FAMILIES.items()}
    assert (found["ice40"].spram, found["ice40"].bram) == (2 * 2, 2)
    assert (found["ecp5"].spram, found["ecp5"].bram) == (0, 33 + 1)


def test_the_mapper_names_no_family() -> None:
    """Nor their cells: what it must know of one is a fact here."""
    root = Path(__file__).resolve().parents[2]
    names = "|".join([*FAMILIES, "DP16KD", "SB_", "MULT18X18", "TRELLIS", "Lattice"])
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in sorted([*root.glob("mapper/*.py"), *root.glob("machine/*.py")])
        if path.name != "family.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(names, line, re.IGNORECASE)
    ]
    assert found == []
