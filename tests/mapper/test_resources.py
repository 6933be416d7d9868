"""The resource model: against yosys, and figures that grow with the engine."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.mapper.support import ENDLESS, engine
from weft.machine.engine import Engine, Memories, Style, Styles
from weft.machine.parts import Resources
from weft.mapper.resources import predict_for


def predict(made: Engine) -> Resources:
    return predict_for(ENDLESS, made)


def sized(*sizes: int, depth: int = 600) -> Engine:
    memories = Memories(
        act=(depth, depth), weight=depth, vector=depth, param=(depth, depth), program=depth
    )
    return engine(*sizes).replace(memories=memories)


def test_dsps_are_the_multipliers() -> None:
    """Four for each result per cycle of either path, a weight's tap and lane each in the others."""
    made = sized(16, 8, 4, 2, 3)
    requant, vector = 4 * (4 + 2), 16 * 3
    assert predict(made).dsp == 16 * 8 + vector + requant
    for styles, expected in (
        (Styles(vector=Style.LUT), 16 * 8 + requant),
        (Styles(requant=Style.LUT), 16 * 8 + vector),
        (Styles(array=Style.LUT), vector + requant),
        (Styles(array=Style.PACKED), 16 * 4 + vector + requant),
    ):
        assert predict(made.replace(styles=styles)).dsp == expected


def test_block_rams_of_all_memories() -> None:
    """4 lanes, 4 columns, 600 words each: two banks of activations 2 each, weights 4 x 2, vector 2,
    parameters 4 for either path, program 2.

    600 words take the 1024-deep shape: 32 bits in 18-bit blocks are 2.
    """
    made = sized(4, 4)
    assert predict(made).bram == 2 * 2 + 4 * 2 + 2 + 2 * 4 + 2
    memories = made.memories
    for fewer, less in (
        (memories.replace(act=(600, 1)), 2),
        (memories.replace(weight=1), 4 * 2),
        (memories.replace(vector=1), 2),
        (memories.replace(param=(1, 600)), 4),
        (memories.replace(param=(600, 1)), 4),
        (memories.replace(program=1), 2),
    ):
        assert predict(made).bram - predict(made.replace(memories=fewer)).bram == less
    assert predict(sized(4, 4, 2, 1)).bram == predict(made).bram + 4
    assert predict(sized(4, 4, 1, 2)).bram == predict(made).bram + 4
    assert predict(sized(4, 4, 1, 1, 3)).bram == predict(made).bram + 4  # 96 bits: 6 blocks


def test_a_lut_multiplier_costs_luts() -> None:
    made = sized(4, 4)
    base = predict(made).lut
    assert predict(made.replace(styles=Styles(array=Style.LUT))).lut > base + 16 * 60
    packed = predict(made.replace(styles=Styles(array=Style.PACKED)))
    assert base < packed.lut < base + 16 * 60


@pytest.mark.parametrize("field", ["lut", "ff", "dsp", "bram"])
def test_more_of_anything_never_costs_less(field: str) -> None:
    """The search relies on it: an engine that is too large without memories stays too large."""
    small = getattr(predict(sized(4, 4, 2, 2, depth=1)), field)
    for sizes in ((8, 4, 2, 2), (4, 8, 2, 2), (4, 4, 4, 2), (4, 4, 2, 4), (4, 4, 2, 2, 3)):
        larger = sized(*sizes, depth=1)
        assert getattr(predict(larger), field) >= small
    deeper = sized(4, 4, 2, 2, depth=5000)
    wider = deeper.replace(accumulator_bits=30, weight_bits=9, products=True)
    assert getattr(predict(wider), field) >= getattr(predict(deeper), field) >= small


BENCH = runpy.run_path(str(Path(__file__).resolve().parents[2] / "bench" / "resources.py"))
ROWS = BENCH["ROWS"]
WORST = {"lut": 0.08, "ff": 0.07, "dsp": 0, "bram": 0.03}
"""Shares that a prediction may be off."""


def far_off(needs: Resources, counts: dict[str, int]) -> list[str]:
    return [
        f"{name}: {getattr(needs, name)} for {counts[name]}"
        for name, share in WORST.items()
        if abs(getattr(needs, name) - counts[name]) > share * counts[name]
    ]


@pytest.mark.parametrize("row", ROWS, ids=BENCH["key"])
def test_predicted_as_yosys_counted(row: Any) -> None:
    counts = BENCH["kept_counts"]()[BENCH["key"](row)]
    assert far_off(predict_for(row.target, row.plan().engine), counts) == []


@pytest.mark.slow
@pytest.mark.parametrize(("family", "rows"), [("ecp5", 2), ("ice40", 2), ("gowin", 2)])
def test_predicted_as_yosys_counts(tmp_path: Path, family: str, rows: int) -> None:
    """Minutes: the first rows of a family, synthesised now."""
    for i, row in enumerate([row for row in ROWS if row.family == family][:rows]):
        plan = row.plan()
        counts = BENCH["synthesised"](row, plan, tmp_path / str(i), {})
        assert far_off(predict_for(row.target, plan.engine), counts) == []
