"""Random layers on compact engines: every bit equal, every cycle predicted."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.hardware import wrong_on_hardware
from tests.e2e.random_networks import KINDS, PRODUCTS, random_network
from tests.mapper.support import ENDLESS, compact
from weft.machine.engine import Engine, Style, Styles
from weft.mapper.build import FOLD_LEVELS, build, shared_engine


@dataclass(frozen=True)
class Shape:
    """A compact engine to test, and how many layers on it."""

    lanes: int
    columns: int
    single_port: bool
    streamed: bool
    style: Style
    products: bool = True
    layers: int = 36

    def __str__(self) -> str:
        marks = ["spram"] * self.single_port + ["streamed"] * self.streamed
        return "-".join([f"k{self.lanes}n{self.columns}", *marks, self.style.value])

    def engine(self) -> Engine:
        """The engine, its memories still open."""
        requant = Style.DSP if self.style is Style.DUAL else self.style
        styles = Styles(array=self.style, vector=self.style, requant=requant)
        made = compact(
            self.lanes, self.columns, single_port=self.single_port, streamed=self.streamed
        )
        return made.replace(styles=styles)


SHAPES = (
    Shape(2, 6, True, True, Style.DUAL, layers=72),
    Shape(3, 5, False, True, Style.LUT),
    Shape(4, 3, True, False, Style.DUAL),
    Shape(1, 2, False, False, Style.DSP, products=False),
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_layers(shape: Shape, tmp_path: Path) -> None:
    graphs = [
        random_network(seed)
        for seed in range(shape.layers)
        if shape.products or KINDS[seed % len(KINDS)] not in PRODUCTS
    ]
    plans = [
        build(graph, ENDLESS, shape.engine(), FOLD_LEVELS[seed % len(FOLD_LEVELS)])
        for seed, graph in enumerate(graphs)
    ]
    engine = shared_engine(plans)
    assert bool(engine.memories.store) == shape.streamed
    assert engine.products == shape.products
    plans = [plan.replace(engines=(engine,)) for plan in plans]
    assert wrong_on_hardware(graphs, plans, tmp_path) == []
