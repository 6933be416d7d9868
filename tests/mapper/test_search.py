"""Choosing the engine: pins are kept, budgets too, and refusals say why."""

import pytest

from tests.mapper.interpreter import execute
from tests.mapper.support import ENDLESS, ULX3S_85F, codes, conv_graph
from weft.mapper import cost
from weft.mapper.resources import predict
from weft.mapper.search import DSP_SHARE, LUT_SHARE, candidates, plan
from weft.nn.errors import ConfigError, FitError, ModelError
from weft.nn.graph import Graph, Window
from weft.nn.reference import run


@pytest.fixture(scope="module")
def graph() -> Graph:
    return conv_graph((3, 10, 10), 12, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))


@pytest.mark.parametrize(
    ("lanes", "columns", "requant_lanes"),
    [(4, 8, 2), (3, 7, 1), (6, 12, 3), (1, 1, 1), (5, 10, 5), (2, None, None), (None, 16, None)],
)
def test_pins_are_kept(
    graph: Graph, lanes: int | None, columns: int | None, requant_lanes: int | None
) -> None:
    engine = plan(
        graph, ULX3S_85F, lanes=lanes, columns=columns, requant_lanes=requant_lanes
    ).engine
    assert lanes in (None, engine.lanes)
    assert columns in (None, engine.columns)
    assert requant_lanes in (None, engine.requant_lanes)


@pytest.mark.parametrize(
    ("lut", "dsp", "bram"), [(83640, 156, 208), (24288, 28, 56), (12000, 8, 30), (200000, 400, 9)]
)
def test_the_choice_fits_the_budget(graph: Graph, lut: int, dsp: int, bram: int) -> None:
    target = ULX3S_85F.replace(lut=lut, ff=lut, dsp=dsp, bram=bram)
    needs = predict(plan(graph, target).engine)
    assert needs.lut <= lut * LUT_SHARE
    assert needs.ff <= lut * LUT_SHARE
    assert needs.dsp <= dsp
    assert needs.bram <= bram


def test_no_other_candidate_that_fits_is_faster(graph: Graph) -> None:
    target = ULX3S_85F.replace(dsp=28)
    chosen = cost.cycles(plan(graph, target))
    for engine in candidates(target, None, None, None):
        sizes = {
            "lanes": engine.lanes,
            "columns": engine.columns,
            "requant_lanes": engine.requant_lanes,
        }
        try:
            other = plan(graph, target, **sizes)
        except FitError:
            continue
        assert cost.cycles(other) >= chosen, sizes


def test_dsps_go_where_they_are_needed_most() -> None:
    """Array first, then the requantise lanes, then the vector unit, up to the usable share."""
    for engine in candidates(ULX3S_85F, None, None, None):
        used = predict(engine).dsp
        array = engine.lanes * engine.columns
        assert used <= max(array, int(ULX3S_85F.dsp * DSP_SHARE))


def test_the_same_plan_every_time(graph: Graph) -> None:
    assert plan(graph, ULX3S_85F) == plan(graph, ULX3S_85F)


def test_not_enough_block_ram() -> None:
    graph = conv_graph((8, 64, 64), 8, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F.replace(name="tiny", bram=20))
    assert str(caught.value) == (
        "one-conv does not fit tiny: it needs 32 block RAMs with 4 lanes and 16 columns, "
        "the board has 20 for it; try a larger board"
    )


def test_a_budget_of_none_is_not_one(graph: Graph) -> None:
    with pytest.raises(FitError, match="the board has 0 for it; try a larger board"):
        plan(graph, ULX3S_85F.replace(bram=0))


def test_pinned_engine_does_not_fit(graph: Graph) -> None:
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F, lanes=512, columns=512)
    text = str(caught.value)
    assert text.startswith("one-conv does not fit ulx3s-85f: it needs ")
    assert text.endswith(
        " LUTs with 512 lanes and 512 columns, the board has 62730 for it; "
        "try a larger board or fewer --lanes and --columns"
    )


@pytest.mark.parametrize("size", [4096, 100_000])
def test_absurd_sizes_are_refused_before_anything_is_built(graph: Graph, size: int) -> None:
    with pytest.raises(FitError, match="does not fit ulx3s-85f"):
        plan(graph, ULX3S_85F, lanes=size, columns=size)


def test_more_lanes_than_multipliers(graph: Graph) -> None:
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F, lanes=4096)
    assert str(caught.value) == (
        "no engine fits ulx3s-85f: it needs 4096 DSP multipliers with 4096 lanes and 1 columns, "
        "the board has 156; try a larger board or fewer --lanes and --columns"
    )


def test_a_board_without_multipliers(graph: Graph) -> None:
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F.replace(name="none", dsp=0))
    assert str(caught.value) == (
        "no engine fits none: it needs 1 DSP multipliers with 1 lanes and 1 columns, "
        "the board has 0; try a larger board"
    )


def test_requantise_lanes_that_do_not_divide(graph: Graph) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(graph, ULX3S_85F, lanes=6, columns=8, requant_lanes=3)
    assert str(caught.value) == (
        "requantise lanes must divide lanes and columns: 3 does not divide both 6 and 8"
    )
    with pytest.raises(ConfigError) as caught:
        plan(graph, ULX3S_85F, requant_lanes=3)
    assert str(caught.value) == (
        "requantise lanes must divide lanes and columns: 3 goes with none of the sizes tried "
        "(1, 2, 4, 8, 16, 32); pin --lanes and --columns, too"
    )


def test_long_vectors_take_enough_lanes() -> None:
    """5000 inputs are too many words for the counters of one lane, but not of two."""
    graph = conv_graph((5000, 1, 1), 3, Window(kernel=(1, 1)))
    made = plan(graph, ULX3S_85F)
    assert made.engine.lanes >= 2
    given = {"x": codes((5000, 1, 1))}
    assert (execute(made, given)["y"] == run(graph, given)["y"]).all()


@pytest.mark.parametrize(
    ("shape", "window", "size"),
    [
        ((1, 5000, 1), Window(kernel=(1, 1)), 5000),
        ((1, 3, 3), Window(kernel=(1, 1), stride=(5000, 1)), 5000),
        ((1, 3, 3), Window(kernel=(1, 1), stride=(9000, 1), pads=(9000, 0, 0, 0)), 9000),
        ((2, 3, 3), Window(kernel=(1, 1), stride=(4000, 1), pads=(5000, 0, 0, 0)), 5000),
        ((2, 3, 3), Window(kernel=(1, 1), stride=(3000, 1), pads=(0, 0, 6000, 0)), 5997),
        ((2, 1, 4), Window(kernel=(1, 2), dilation=(1, 6000), pads=(0, 0, 0, 6000)), 6000),
    ],
)
def test_beyond_the_counters(shape: tuple[int, int, int], window: Window, size: int) -> None:
    with pytest.raises(ModelError) as caught:
        plan(conv_graph(shape, 1, window), ENDLESS, lanes=2, columns=2)
    assert str(caught.value) == (
        f"node 'c' (Conv): a size of {size} is beyond the engine's limit of 4095; "
        "use more lanes, or a smaller image or kernel"
    )


def test_more_results_than_a_pixel_can_have() -> None:
    graph = conv_graph((1, 1, 1), 5000, Window(kernel=(1, 1)))
    with pytest.raises(ModelError, match="a size of 5000 is beyond the engine's limit of 4095"):
        plan(graph, ENDLESS, lanes=2, columns=2, requant_lanes=1)
    assert plan(graph, ENDLESS, lanes=2, columns=2).engine.requant_lanes == 2
