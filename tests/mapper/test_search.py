"""Choosing the engine: pins are kept, budgets too, and refusals say why."""

import pytest

from tests.mapper.support import ENDLESS, ULX3S_85F, codes, conv_graph, demand, separable
from weft.engines.kind import Pins
from weft.errors import ConfigError, FitError, ModelError
from weft.machine import timing
from weft.machine.check.execute import execute
from weft.machine.family import FAMILIES
from weft.machine.plan import Plan
from weft.machine.target import Target
from weft.mapper.build import FOLD_LEVELS, build
from weft.mapper.candidates import candidates, demand_of
from weft.mapper.resources import predict_for
from weft.mapper.search import SLACK, plan, shortfall
from weft.nn.ir.graph import Graph
from weft.nn.ir.reference import run
from weft.nn.ir.window import Window


@pytest.fixture(scope="module")
def graph() -> Graph:
    return conv_graph((3, 10, 10), 12, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))


@pytest.mark.parametrize(
    ("lanes", "columns", "requant_lanes"),
    [
        (4, 8, 2),
        (3, 7, 1),
        (6, 12, 3),
        (1, 1, 1),
        (5, 10, 5),
        (2, None, None),
        (None, 16, None),
        (8, 8, (4, 1)),
        (6, 4, (2, 6)),
    ],
)
def test_pins_are_kept(
    graph: Graph,
    lanes: int | None,
    columns: int | None,
    requant_lanes: int | tuple[int, int] | None,
) -> None:
    engine = plan(
        graph, ULX3S_85F, lanes=lanes, columns=columns, requant_lanes=requant_lanes
    ).engine
    assert lanes in (None, engine.lanes)
    assert columns in (None, engine.columns)
    if requant_lanes:
        pair = requant_lanes if isinstance(requant_lanes, tuple) else (requant_lanes,) * 2
        assert (engine.array_requant, engine.vector_requant) == pair


@pytest.mark.parametrize(
    ("lut", "dsp", "bram"), [(83640, 156, 208), (24288, 28, 56), (12000, 8, 30), (200000, 400, 9)]
)
def test_the_choice_fits_the_budget(graph: Graph, lut: int, dsp: int, bram: int) -> None:
    target = ULX3S_85F.replace(lut=lut, ff=lut, dsp=dsp, bram=bram)
    needs = predict_for(ULX3S_85F, plan(graph, target).engine)
    assert needs.lut <= lut * FAMILIES["ecp5"].lut_share
    assert needs.ff <= lut * FAMILIES["ecp5"].lut_share
    assert needs.dsp <= dsp
    assert needs.bram <= bram


def by_trying_all(graph: Graph, target: Target) -> Plan:
    """What the search should find: every engine and fold planned in full."""
    found = []
    for made in candidates(target, Pins(), demand_of(graph)):
        for level in FOLD_LEVELS:
            tried = build(graph, target, made, level)
            needs = predict_for(ULX3S_85F, tried.engine)
            if shortfall(target, tried.engine, needs)[0] <= 1:
                found.append((timing.cycles(tried), needs.lut, tried))
    limit = min(cycles for cycles, _, _ in found) * SLACK
    return min((x for x in found if x[0] <= limit), key=lambda x: (x[1], x[0]))[2]


def closest_by_trying_all(graph: Graph, target: Target) -> str:
    """What the search should say where nothing fits: every engine drafted in full."""
    failures = []
    for made in candidates(target, Pins(), demand()):
        bare = shortfall(target, made, predict_for(target, made))
        if bare[0] > 1:
            failures.append((True, *bare))
            continue
        for level in FOLD_LEVELS:
            tried = build(graph, target, made, level).engine
            failures.append((False, *shortfall(target, tried, predict_for(target, tried))))
    return min(failures)[2]


@pytest.mark.parametrize("change", [{"bram": 0}, {"lut": 3000}, {"ff": 3000}])
def test_what_is_short_is_that_of_trying_everything(graph: Graph, change: dict[str, int]) -> None:
    target = ULX3S_85F.replace(dsp=12, **change)
    with pytest.raises(FitError) as caught:
        plan(graph, target)
    assert closest_by_trying_all(graph, target) in str(caught.value)


def test_memory_that_is_short_is_that_of_trying_everything() -> None:
    graph = conv_graph((8, 64, 64), 8, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    target = ULX3S_85F.replace(dsp=12, bram=20)
    with pytest.raises(FitError) as caught:
        plan(graph, target)
    assert closest_by_trying_all(graph, target) in str(caught.value)


@pytest.mark.parametrize("dsp", [12, 28])
def test_the_choice_is_that_of_trying_everything(graph: Graph, dsp: int) -> None:
    target = ULX3S_85F.replace(dsp=dsp)
    assert plan(graph, target) == by_trying_all(graph, target)


def test_the_choice_with_depthwise_convolutions() -> None:
    graph = separable()
    target = ULX3S_85F.replace(dsp=28)
    expected = by_trying_all(graph, target)
    assert plan(graph, target) == expected


def test_a_percent_of_the_cycles_is_given_up_for_fewer_luts() -> None:
    """Some engine is a little faster than the one that is chosen, and larger."""
    graph = conv_graph((16, 24, 24), 16, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    chosen = plan(graph, ULX3S_85F)
    others = []
    for made in candidates(ULX3S_85F, Pins(), demand()):
        if (made.lanes, made.columns) == (chosen.engine.lanes, chosen.engine.columns):
            tried = build(graph, ULX3S_85F, made, 0)
            if shortfall(ULX3S_85F, tried.engine, predict_for(ULX3S_85F, tried.engine))[0] <= 1:
                others.append((timing.cycles(tried), predict_for(ULX3S_85F, tried.engine).lut))
    cycles, lut = timing.cycles(chosen), predict_for(ULX3S_85F, chosen.engine).lut
    assert min(others)[0] < cycles <= min(others)[0] * SLACK
    assert lut < min(others)[1]
    assert all(size >= lut for slow, size in others if slow <= min(others)[0] * SLACK)


def test_the_same_plan_every_time(graph: Graph) -> None:
    assert plan(graph, ULX3S_85F) == plan(graph, ULX3S_85F)


def test_the_smallest_that_is_fast_enough(graph: Graph) -> None:
    """A latency instead of the fewest cycles: smaller engines, down to what it takes."""
    fastest = plan(graph, ULX3S_85F)
    best = timing.cycles(fastest)
    luts = []
    for limit in (best, 3 * best, 10 * best):
        made = plan(graph, ULX3S_85F, cycles=limit)
        assert timing.cycles(made) <= limit
        luts.append(predict_for(ULX3S_85F, made.engine).lut)
    assert luts == sorted(luts, reverse=True)
    assert luts[-1] < predict_for(ULX3S_85F, fastest.engine).lut
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F, cycles=20)
    assert str(caught.value) == (
        f"one-conv on ulx3s-85f: the fastest engine that fits takes {best} cycles, not 20; "
        "try a larger board"
    )


def test_not_enough_block_ram() -> None:
    graph = conv_graph((8, 64, 64), 8, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F.replace(name="tiny", bram=20))
    assert str(caught.value) == (
        "one-conv does not fit tiny: it needs 32 block RAMs with 4 lanes and 1 column, "
        "the board has 20 for it; try a larger board"
    )


def test_a_budget_of_none_is_not_one(graph: Graph) -> None:
    with pytest.raises(FitError, match="the board has 0 for it; try a larger board"):
        plan(graph, ULX3S_85F.replace(bram=0))


def test_pinned_engine_does_not_fit(graph: Graph) -> None:
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F, lanes=512, columns=512)
    assert str(caught.value) == (
        "one-conv does not fit ulx3s-85f: it needs 131072 DSP multipliers with 512 lanes and "
        "512 columns, the board has 156 for it; "
        "try a larger board; fewer --lanes and --columns may do"
    )


def test_absurd_sizes_are_refused_before_anything_is_built(graph: Graph) -> None:
    with pytest.raises(FitError, match="does not fit ulx3s-85f"):
        plan(graph, ULX3S_85F, lanes=4096, columns=4096)


@pytest.mark.parametrize(
    ("option", "name", "least", "most"),
    [
        ("lanes", "lanes", 1, 4096),
        ("columns", "columns", 1, 4096),
        ("requant_lanes", "requant lanes", 1, 4096),
        ("cycles", "cycles", 1, 4294967295),
    ],
)
def test_options_have_limits(graph: Graph, option: str, name: str, least: int, most: int) -> None:
    for value in (least - 1, most + 1):
        with pytest.raises(ConfigError) as caught:
            plan(graph, ULX3S_85F, **{option: value})
        expected = f"{name} must be a whole number from {least} to {most}, not {value}"
        assert str(caught.value) == expected


def test_more_lanes_than_multipliers(graph: Graph) -> None:
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F, lanes=4096)
    assert str(caught.value) == (
        "no engine fits ulx3s-85f: it needs 4096 DSP multipliers with 4096 lanes and 1 column, "
        "the board has 156; try a larger board; fewer --lanes and --columns may do"
    )


def test_a_board_without_multipliers(graph: Graph) -> None:
    with pytest.raises(FitError) as caught:
        plan(graph, ULX3S_85F.replace(name="none", dsp=0))
    assert str(caught.value) == (
        "no engine fits none: it needs 1 DSP multiplier with 1 lane and 1 column, "
        "the board has 0; try a larger board"
    )


def test_requantise_lanes_that_do_not_divide(graph: Graph) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(graph, ULX3S_85F, lanes=6, columns=8, requant_lanes=3)
    assert str(caught.value) == (
        "requantise lanes must divide lanes and columns: 3 does not divide both 6 and 8"
    )
    with pytest.raises(ConfigError) as caught:
        plan(graph, ULX3S_85F, lanes=6, columns=8, requant_lanes=(2, 4))
    assert str(caught.value) == (
        "requantise lanes must divide lanes and columns: 2+4 does not divide both 6 and 8"
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


def test_more_tiles_than_a_pixel_can_have() -> None:
    graph = conv_graph((1, 1, 1), 5000, Window(kernel=(1, 1)))
    with pytest.raises(ModelError, match="a size of 5000 is beyond the engine's limit of 4095"):
        plan(graph, ENDLESS, lanes=2, columns=1)
    assert plan(graph, ENDLESS, lanes=2, columns=2, requant_lanes=1).steps[0].loops.tiles == 2500
