"""Random layers in Verilator: every bit equal, every cycle predicted."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.hardware import wrong_on_hardware
from tests.e2e.random_networks import KINDS, PRODUCTS, random_network
from tests.mapper.support import chains
from weft.engines.overlapped.spec import OverlappedSpec
from weft.machine.engine import Engine, Style, Styles
from weft.machine.target import Target
from weft.mapper.build import FOLD_LEVELS, build, shared_engine

TARGET = Target(name="any", family="ecp5", lut=1, ff=1, dsp=1, bram=1, clock_hz=25e6)


@dataclass(frozen=True)
class Shape:
    """An engine to test, and how many layers on it."""

    lanes: int
    columns: int
    array_requant: int
    vector_requant: int
    taps: int = 1
    style: Style = Style.DSP
    wide_weights: bool = False
    packed: bool = False
    products: bool = True
    layers: int = 80

    def __str__(self) -> str:
        parts = [f"k{self.lanes}n{self.columns}", f"r{self.array_requant}-{self.vector_requant}"]
        style = "packed" if self.packed else self.style.value
        return "-".join([*parts, f"t{self.taps}", style] + ["w9"] * self.wide_weights)

    def engine(self) -> Engine:
        """The engine, its memories still open."""
        return OverlappedSpec(
            lanes=self.lanes,
            columns=self.columns,
            array_requant=self.array_requant,
            vector_requant=self.vector_requant,
            vector_taps=self.taps,
            styles=Styles(
                array=Style.PACKED if self.packed else self.style,
                vector=self.style,
                requant=self.style,
            ),
        )


SHAPES = (
    Shape(8, 4, 2, 4, taps=3, layers=96),
    Shape(16, 16, 4, 2, taps=2, packed=True, products=False, layers=96),
    Shape(3, 6, 3, 1, style=Style.LUT, layers=64),
    Shape(4, 5, 1, 4, taps=3, wide_weights=True, layers=64),
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_layers(shape: Shape, tmp_path: Path) -> None:
    graphs = [
        random_network(seed, wide_weights=shape.wide_weights, packable=shape.packed)
        for seed in range(shape.layers)
        if shape.products or KINDS[seed % len(KINDS)] not in PRODUCTS
    ]
    plans = [
        build(graph, TARGET, shape.engine(), FOLD_LEVELS[seed % len(FOLD_LEVELS)])
        for seed, graph in enumerate(graphs)
    ]
    engine = shared_engine(plans)
    assert engine.products == shape.products
    plans = [plan.replace(engines=(engine,)) for plan in plans]
    assert set().union(*map(chains, plans)) >= {
        "image",
        "fully connected",
        "after a chained step",
        "after a step that follows",
        "before a step that follows",
        "before a step that waits",
    }
    assert wrong_on_hardware(graphs, plans, tmp_path) == []
