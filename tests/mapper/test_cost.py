"""The cycle model, against numbers worked out by hand; simulations hold it to the hardware."""

import pytest

from tests.mapper.support import ENDLESS, conv_graph, engine
from weft.hw import params
from weft.hw.step import back_layout, chunks, front_layout
from weft.mapper import cost
from weft.mapper.plan import Loops, Memories, Style, Unit, VectorOp
from weft.mapper.search import plan
from weft.nn.graph import Window


def loops(rows: int, cols: int, tiles: int, kernel: int, words: int, hold: int) -> Loops:
    return Loops(
        rows=rows,
        cols=cols,
        tiles=tiles,
        kernel_rows=kernel,
        kernel_cols=kernel,
        words=words,
        hold=hold,
    )


def test_one_convolution_by_hand() -> None:
    """4 lanes, 2 columns, 1 requantise lane: 5 x 5 pixels, 2 tiles of 9 taps of 2 words each."""
    graph = conv_graph((8, 7, 7), 4, Window(kernel=(3, 3)))
    made = plan(graph, ENDLESS, lanes=4, columns=2, requant_lanes=1)
    (step,) = made.steps
    assert step.loops.counts == (5, 5, 2, 3, 3, 2)
    assert (step.loops.taps, step.loops.hold, step.write.groups_per_tile) == (18, 0, 2)
    issue = 5 * 5 * 2 * 18
    assert cost.issue_cycles(step) == issue == cost.floor_cycles(step)
    fetch = 3 + cost.step_chunks(made.engine)
    array = 3 + 2 + 4 + 1  # lane data, multiplier, one register per row, accumulator
    requantise = 8 + 2
    assert cost.cycles(made) == fetch + issue + array + 2 + requantise
    assert cost.mac_floor(made.engine, made.macs) == 4 * 8 * 9 * 25 // 8


def test_hold_where_results_leave_slower_than_taps_arrive() -> None:
    """1 x 1 kernel, 1 word, 8 columns one at a time: 1 cycle of work, 7 idle, last tile none."""
    graph = conv_graph((4, 3, 1), 16, Window(kernel=(1, 1)))
    (step,) = plan(graph, ENDLESS, lanes=4, columns=8, requant_lanes=1).steps
    assert (step.loops.taps, step.loops.hold, step.loops.n_tiles) == (1, 7, 6)
    assert cost.issue_cycles(step) == 5 * 8 + 1
    assert cost.floor_cycles(step) == 6
    assert step.bound == "requantise"


@pytest.mark.parametrize("act_words", [16, 1 << 40], ids=["short-steps", "long-steps"])
def test_a_step_waits_for_the_one_before(act_words: int) -> None:
    """The next step is fetched while results drain, and starts when both are done."""
    graph = conv_graph((2, 4, 4), 2, Window(kernel=(2, 2)))
    made = plan(graph, ENDLESS, lanes=2, columns=2, requant_lanes=1)
    memories = made.engine.memories.replace(act=act_words)
    machine = made.engine.replace(memories=memories)
    (step,) = made.steps
    first, second = cost.step_ends(machine, (step, step))
    fetch = 3 + cost.step_chunks(machine)
    issued = fetch + cost.issue_cycles(step)
    drained = issued + (3 + 2 + 2 + 1) + 2 + (8 + 2)
    assert first == drained
    fetched = issued + fetch
    assert (fetched > drained) == (act_words > 16)
    assert second == max(fetched, drained) + drained - fetch


@pytest.mark.parametrize("style", list(Style))
@pytest.mark.parametrize("lanes", [1, 3, 16])
def test_latencies_are_those_of_the_hardware(style: Style, lanes: int) -> None:
    made = engine(lanes, lanes).replace(
        array_multiplier=style, vector_multiplier=style, requant_multiplier=style
    )
    hardware = params.EngineParams(
        lanes=lanes,
        columns=lanes,
        requant_lanes=1,
        act_words=1,
        weight_words=1,
        vector_words=1,
        param_words=1,
        program_words=1,
        array_multiplier=params.Multiplier(style.value),
        vector_multiplier=params.Multiplier(style.value),
        requant_multiplier=params.Multiplier(style.value),
    )
    assert cost.unit_latency(made, Unit.ARRAY) == hardware.array_latency
    assert cost.unit_latency(made, Unit.VECTOR) == hardware.vector_latency
    assert cost.requant_latency(made) == hardware.requant_latency


@pytest.mark.parametrize("sizes", [(1, 1, 1), (4, 8, 2), (6, 12, 3), (16, 5, 1)])
@pytest.mark.parametrize("depth", [1, 2, 3, 1000, 70000])
def test_step_chunks_are_those_of_the_step_word(sizes: tuple[int, int, int], depth: int) -> None:
    lanes, columns, requant_lanes = sizes
    memories = Memories(act=depth, weight=depth % 5000 + 3, vector=depth, param=depth, program=9)
    made = engine(lanes, columns, requant_lanes).replace(memories=memories)
    hardware = params.EngineParams(
        lanes=lanes,
        columns=columns,
        requant_lanes=requant_lanes,
        act_words=memories.act,
        weight_words=memories.weight,
        vector_words=memories.vector,
        param_words=memories.param,
        program_words=memories.program,
    )
    expected = chunks(front_layout(hardware)) + chunks(back_layout(hardware))
    assert cost.step_chunks(made) == expected


def test_bound() -> None:
    graph = conv_graph((4, 4, 4), 4, Window(kernel=(2, 2)))
    (step,) = plan(graph, ENDLESS, lanes=4, columns=4, requant_lanes=4).steps
    assert step.bound == "mac"
    assert step.replace(vector_op=VectorOp.MAX).bound == "read"
    assert step.replace(loops=loops(1, 1, 1, 1, 1, 3)).bound == "requantise"
