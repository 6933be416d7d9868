"""Choosing the engine: the fastest one that fits the board."""

import functools
import math
from collections.abc import Iterator

from weft.mapper import cost
from weft.mapper.build import FOLD_LEVELS, Draft, Stored, complete, draft, store
from weft.mapper.plan import Engine, Plan, Style, Styles
from weft.mapper.resources import Resources, predict_for
from weft.mapper.target import Target
from weft.mapper.widths import widths_of
from weft.nn.errors import ConfigError, FitError, ModelError
from weft.nn.graph import Conv, Graph

DSP_SHARE = 0.86
"""Most of a device's multipliers that routing still copes with (see docs/architecture.md)."""

LUT_SHARE = 0.75
"""Most of a device's LUTs that the core may take; the board's top and the router need some."""

GOWIN_FF_SHARE = 0.57
"""The same for Gowin's flip-flops. One that its own LUT does not feed blocks that LUT; pipelines
have many. With digits on a GW1NR-9, nextpnr's placer did not finish its first round with 73 % in
use; with 62 % it was stopped, unfinished, after 20 minutes on a loaded machine.
"""

SIZES = (1, 2, 4, 8, 16, 32)
"""Lanes and columns that are tried; any others can be pinned."""

SLACK = 1.01
"""Cycles that may be given up for fewer LUTs."""

REQUANT_PAIRS = ((1, 1), (1, 2), (2, 1), (2, 2), (2, 4), (4, 2), (4, 4), (4, 8), (8, 4), (8, 8))
"""Results that the array's and the vector unit's output path requantise per cycle."""


def plan(
    graph: Graph,
    target: Target,
    *,
    lanes: int | None = None,
    columns: int | None = None,
    requant_lanes: int | None = None,
) -> Plan:
    """The smallest plan within 1 % of the fewest cycles that fits the target; pins are kept.

    Raises FitError when none fits, ConfigError when pinned sizes do not go together, ModelError
    when an operator is beyond every engine's counters.
    """
    fitting: list[tuple[int, int, Draft]] = []  # cycles, LUTs
    widths = widths_of(graph)
    ways = functools.cache(functools.partial(_stored, graph))
    closest: tuple[bool, float, str] | None = None
    refused: ModelError | None = None
    for engine in candidates(
        target, lanes, columns, requant_lanes, taps=_taps(graph), packable=_packable(graph)
    ):
        best = min((cycles for cycles, _, _ in fitting), default=math.inf)
        if cost.mac_floor(engine, _array_macs(graph)) > best * SLACK:
            continue  # too slow even without a single idle cycle
        excess, reason = shortfall(target, engine, predict_for(target, engine))
        if excess > 1:  # even without its memories: nothing to build
            closest = min(closest or (True, excess, reason), (True, excess, reason))
            continue
        for stored in ways(engine.lanes):
            try:
                tried = draft(stored, engine, widths)
            except ModelError as error:  # more lanes may do: fewer words to count
                refused = error
                continue
            needs = predict_for(target, tried.engine)
            excess, reason = shortfall(target, tried.engine, needs)
            if excess > 1:
                closest = min(closest or (False, excess, reason), (False, excess, reason))
                continue
            fitting.append((cost.program_cycles(tried.engine, tried.steps), needs.lut, tried))
    if fitting:
        limit = min(cycles for cycles, _, _ in fitting) * SLACK
        chosen = min((x for x in fitting if x[0] <= limit), key=lambda x: (x[1], x[0]))[2]
        return complete(chosen, target)
    if refused is not None and (closest is None or closest[0]):
        raise refused
    assert closest is not None
    raise FitError(
        f"{graph.name} does not fit {target.name}: {closest[2]}; {_advice(lanes, columns)}"
    )


def _stored(graph: Graph, lanes: int) -> list[Stored]:
    """The ways to store the inputs for so many lanes that differ."""
    ways: list[Stored] = []
    for level in FOLD_LEVELS:
        stored = store(graph, lanes, level)
        if not ways or stored.inputs != ways[-1].inputs:
            ways.append(stored)
    return ways


def _advice(lanes: int | None, columns: int | None) -> str:
    pinned = " or fewer --lanes and --columns" if lanes or columns else ""
    return f"try a larger board{pinned}"


def _array_macs(graph: Graph) -> int:
    """Multiply-accumulates that the array must do in any case."""
    total = 0
    for operator in graph.operators:
        if isinstance(operator, Conv) and operator.groups == 1:
            _, height, width = graph.tensor(operator.output).shape
            total += operator.weight.size * height * width
    return total


def _packable(graph: Graph) -> bool:
    """Whether all weights of the array are in -127..127, so that two fit one multiplier."""
    return all(
        abs(int(operator.weight.min())) < 128 and int(operator.weight.max()) < 128
        for operator in graph.operators
        if isinstance(operator, Conv)
    )


def _taps(graph: Graph) -> tuple[int, ...]:
    """Taps of the vector unit that are worth trying: rolling helps depthwise convolutions only."""
    depthwise = any(isinstance(op, Conv) and op.groups > 1 for op in graph.operators)
    return (1, 3) if depthwise else (1,)


def candidates(
    target: Target,
    lanes: int | None,
    columns: int | None,
    requant_lanes: int | None,
    *,
    taps: tuple[int, ...] = (1,),
    packable: bool = False,
) -> Iterator[Engine]:
    """Engines to try, the largest first, with open memory depths, within the target's multipliers.

    Raises FitError when no open size is within them, ConfigError when the requantise lanes divide
    none.
    """
    sizes = [
        (k, n)
        for k in ((lanes,) if lanes else SIZES)
        for n in ((columns,) if columns else SIZES)
        if k * n <= target.dsp * max(target.products_per_dsp, 1 + (packable and n % 2 == 0))
        or (lanes and columns)
    ]
    sizes.sort(key=lambda size: (-size[0] * size[1], abs(size[0] - size[1])))
    if not sizes:
        k, n = lanes or SIZES[0], columns or SIZES[0]
        raise FitError(
            f"no engine fits {target.name}: it needs {k * n} DSP multipliers with {k} lanes and "
            f"{n} columns, the board has {target.dsp}; {_advice(lanes, columns)}"
        )
    divided = False
    for k, n in sizes:
        pairs = ((requant_lanes, requant_lanes),) if requant_lanes else REQUANT_PAIRS
        for array, vector in pairs:
            if k % array == 0 and n % array == 0 and k % vector == 0:
                divided = True
                for t in taps:
                    yield _styled(target, k, n, array, vector, t, packable and n % 2 == 0)
    if not divided:
        reason = (
            f"does not divide both {lanes} and {columns}"
            if lanes and columns
            else f"goes with none of the sizes tried ({', '.join(map(str, SIZES))}); "
            "pin --lanes and --columns, too"
        )
        raise ConfigError(
            f"requantise lanes must divide lanes and columns: {requant_lanes} {reason}"
        )


def _styled(
    target: Target, k: int, n: int, array: int, vector: int, taps: int, packable: bool
) -> Engine:
    """Multipliers go into DSPs in order of need until the usable share is spent."""
    left = int(target.dsp * DSP_SHARE)
    share = target.products_per_dsp
    packed = packable and share == 1 and k * n > left
    styles = [Style.PACKED if packed else Style.DSP]
    left -= math.ceil(k * n / (share + packed))
    for count in (4 * (array + vector), math.ceil(k * taps / share)):
        style = Style.DSP if count <= left else Style.LUT
        left -= count if style is Style.DSP else 0
        styles.append(style)
    return Engine(
        lanes=k,
        columns=n,
        array_requant=array,
        vector_requant=vector,
        vector_taps=taps,
        styles=Styles(array=styles[0], requant=styles[1], vector=styles[2]),
    )


def shortfall(target: Target, engine: Engine, needs: Resources) -> tuple[float, str]:
    """How far the scarcest resource is exceeded (1.0: just fits), and a sentence about it."""
    sizes = f"{engine.lanes} lanes and {engine.columns} columns"
    ff_share = GOWIN_FF_SHARE if target.family == "gowin" else LUT_SHARE
    budgets = (
        ("block RAMs", needs.bram, target.bram),
        ("DSP multipliers", needs.dsp, target.dsp),
        ("LUTs", needs.lut, int(target.lut * LUT_SHARE)),
        ("flip-flops", needs.ff, int(target.ff * ff_share)),
    )
    name, needed, available = max(budgets, key=lambda item: _ratio(item[1], item[2]))
    return _ratio(needed, available), (
        f"it needs {needed} {name} with {sizes}, the board has {available} for it"
    )


def _ratio(needed: int, available: int) -> float:
    if available:
        return needed / available
    return math.inf if needed else 0.0
