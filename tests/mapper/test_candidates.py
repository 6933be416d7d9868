"""Which engines are tried on a family, and what their multipliers are built from."""

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.mapper.support import ULX3S_85F, codes, conv_graph, demand, separable
from weft.engines.compact.spec import CompactSpec
from weft.engines.kind import Pins
from weft.engines.overlapped.spec import OverlappedSpec
from weft.errors import ConfigError, FitError
from weft.machine.check.execute import execute
from weft.machine.engine import Style
from weft.machine.family import FAMILIES
from weft.machine.target import Target
from weft.mapper.candidates import candidates
from weft.mapper.resources import predict_for
from weft.mapper.search import plan
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.reference import run
from weft.nn.ir.window import Window


@pytest.fixture(scope="module")
def graph() -> Graph:
    return conv_graph((3, 10, 10), 12, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))


def wide(graph: Graph, value: int) -> Graph:
    """One weight changed."""
    (conv,) = graph.operators
    assert isinstance(conv, Conv)
    weight = conv.weight.copy()
    weight[0, 0, 0, 0] = value
    return graph.replace(operators=(conv.replace(weight=weight),))


@pytest.mark.parametrize(
    ("value", "packed"), [(-127, True), (127, True), (-128, False), (128, False)]
)
def test_two_columns_to_a_multiplier_only_for_weights_that_allow_it(
    value: int, packed: bool
) -> None:
    """16 x 16 multipliers in 156 DSPs."""
    graph = wide(conv_graph((32, 24, 24), 16, Window(kernel=(3, 3))), value)
    made = plan(graph, ULX3S_85F).engine
    assert (made.styles.array is Style.PACKED) == packed
    assert (made.multipliers > ULX3S_85F.dsp) == packed
    assert made.weight_bits == (9 if value == 128 else 8)


def test_packed_engines_are_candidates_with_even_columns_only() -> None:
    for packable in (False, True):
        for made in candidates(ULX3S_85F, Pins(), demand(packable=packable)):
            if made.styles.array is Style.PACKED:
                assert packable
                assert made.columns % 2 == 0
                assert made.multipliers > int(ULX3S_85F.dsp * FAMILIES["ecp5"].dsp_share)
            else:
                assert made.multipliers <= ULX3S_85F.dsp
    pinned = list(candidates(ULX3S_85F, Pins(lanes=256, columns=1), demand()))
    assert {made.styles.array for made in pinned} == {Style.DSP}


def test_gowin_has_two_small_multipliers_in_one() -> None:
    target = ULX3S_85F.replace(family="gowin", dsp=20)
    share = int(target.dsp * FAMILIES["ecp5"].dsp_share)
    sizes = set()
    tried = list(candidates(target, Pins(), demand()))
    assert any(isinstance(made, CompactSpec) for made in tried)
    for made in (made for made in tried if isinstance(made, OverlappedSpec)):
        sizes.add(made.lanes * made.columns)
        assert made.styles.array is Style.DSP  # packing would cost LUTs and save nothing
        needs = predict_for(target, made)
        assert needs.dsp <= max(made.multipliers / 2, share)
        on_ecp5 = predict_for(ULX3S_85F, made)
        assert needs.bram == on_ecp5.bram
        assert needs.dsp < on_ecp5.dsp
    assert max(sizes) == 32  # of at most 40


def test_gowin_leaves_more_flip_flops_free(graph: Graph) -> None:
    target = ULX3S_85F.replace(family="gowin", ff=9000)
    chosen = plan(graph, target)
    assert predict_for(target, chosen.engine).ff <= 9000 * FAMILIES["gowin"].ff_share


UP5K = Target(
    name="up5k", family="ice40", lut=5280, ff=5280, dsp=8, bram=30, clock_hz=12e6, spram=4
)


@pytest.mark.parametrize(("lut", "dsp", "spram"), [(5280, 8, 4), (7680, 0, 0), (5280, 1, 4)])
def test_ice40_gets_a_compact_engine(graph: Graph, lut: int, dsp: int, spram: int) -> None:
    target = UP5K.replace(lut=lut, ff=lut, dsp=dsp, spram=spram)
    chosen = plan(graph, target)
    engine, needs = chosen.engine, predict_for(target, chosen.engine)
    assert isinstance(engine, CompactSpec)
    assert FAMILIES["ice40"].logic_cells(needs) <= lut * FAMILIES["ice40"].lut_share
    assert (needs.dsp <= dsp, needs.bram <= 30, needs.spram <= spram) == (True, True, True)
    given = {"x": codes((3, 10, 10))}
    np.testing.assert_array_equal(execute(chosen, given)["y"], run(graph, given)["y"])


def test_ice40_streams_what_does_not_fit() -> None:
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    tensor = layers.input((32, 4, 4))
    for _ in range(3):  # 9 KB of weights each, of 15 KB of block RAM
        tensor = layers.conv(tensor, 32, 1, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    big = layers.graph("big", [tensor])
    assert plan(big, UP5K).engine.has_store
    with pytest.raises(FitError, match="up5k"):
        plan(big, UP5K.replace(spram=0))
    with pytest.raises(ConfigError, match="one result at a time"):
        plan(big, UP5K, requant_lanes=2)
    with pytest.raises(FitError, match="those for ice40 have at most 8 lanes, not 16; try fewer"):
        plan(big, UP5K, lanes=16)


def test_small_gowin_devices_take_compact_engines(graph: Graph) -> None:
    """Nothing of them is particular to iCE40; a larger device has room for the ordinary engine."""
    small = ULX3S_85F.replace(family="gowin", lut=8640, ff=6480, dsp=20, bram=26)
    chosen = plan(graph, small)
    engine = chosen.engine
    assert isinstance(engine, CompactSpec)
    assert (engine.single_port, engine.streamed) == (False, False)
    assert engine.styles.array is Style.DSP
    needs = predict_for(small, engine)
    assert needs.dsp == -(-engine.lanes * (engine.columns + 1) // 2) + 1 <= 20
    assert needs.bram <= 26
    given = {"x": codes((3, 10, 10))}
    np.testing.assert_array_equal(execute(chosen, given)["y"], run(graph, given)["y"])
    larger = plan(graph, small.replace(lut=20736, ff=15552, dsp=48, bram=46))
    assert isinstance(larger.engine, OverlappedSpec)


def test_taps_are_tried_for_depthwise_convolutions_only(graph: Graph) -> None:
    assert plan(graph, ULX3S_85F).engine.vector_taps == 1
    chosen = plan(separable(), ULX3S_85F)
    assert chosen.engine.vector_taps == 3
    assert any(step.output.rolling for step in chosen.steps)


def test_dsps_go_where_they_are_needed_most() -> None:
    """Array first, then the output paths, then the vector unit, up to the usable share."""
    share = int(ULX3S_85F.dsp * FAMILIES["ecp5"].dsp_share)
    for made in candidates(ULX3S_85F, Pins(), demand(depthwise=True)):
        packed = made.styles.array is Style.PACKED
        array = made.multipliers // (2 if packed else 1)
        assert predict_for(ULX3S_85F, made).dsp <= max(array, share)
        requant = 4 * (made.array_requant + made.vector_requant)
        assert (made.styles.requant is Style.DSP) == (array + requant <= share)
        left = share - array - requant * (made.styles.requant is Style.DSP)
        assert (made.styles.vector is Style.DSP) == (made.lanes * made.vector_taps <= left)
