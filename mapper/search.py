"""Choosing the engine: the fastest one that fits the board."""

import math
from collections.abc import Iterator

from weft.mapper import cost
from weft.mapper.build import FOLD_LEVELS, build
from weft.mapper.plan import Engine, Memories, Plan, Style
from weft.mapper.resources import Resources, predict
from weft.mapper.target import Target
from weft.nn.errors import ConfigError, FitError, ModelError
from weft.nn.graph import Graph

DSP_SHARE = 0.86
"""Most of a device's multipliers that routing still copes with (see docs/architecture.md)."""

LUT_SHARE = 0.75
"""Most of a device's LUTs that the core may take; the board's top and the router need some."""

SIZES = (1, 2, 4, 8, 16, 32)
"""Lanes and columns that are tried; any others can be pinned."""


def plan(
    graph: Graph,
    target: Target,
    *,
    lanes: int | None = None,
    columns: int | None = None,
    requant_lanes: int | None = None,
) -> Plan:
    """The plan with the fewest cycles that fits the target; pinned sizes are kept.

    Raises FitError when none fits, ConfigError when pinned sizes do not go together, ModelError
    when an operator is beyond every engine's counters.
    """
    best: tuple[tuple[int, int, int], Plan] | None = None
    closest: tuple[bool, float, str] | None = None
    refused: ModelError | None = None
    for engine in candidates(target, lanes, columns, requant_lanes):
        excess, reason = shortfall(target, engine, predict(engine))
        if excess > 1:  # even without its memories: nothing to build
            closest = min(closest or (True, excess, reason), (True, excess, reason))
            continue
        for level in FOLD_LEVELS:
            try:
                tried = build(graph, target, engine, level)
            except ModelError as error:  # more lanes may do: fewer words to count
                refused = error
                continue
            needs = predict(tried.engine)
            excess, reason = shortfall(target, tried.engine, needs)
            if excess > 1:
                closest = min(closest or (False, excess, reason), (False, excess, reason))
                continue
            rank = (cost.cycles(tried), needs.dsp, needs.bram)
            if best is None or rank < best[0]:
                best = (rank, tried)
    if best is not None:
        return best[1]
    if refused is not None and (closest is None or closest[0]):
        raise refused
    assert closest is not None
    raise FitError(
        f"{graph.name} does not fit {target.name}: {closest[2]}; {_advice(lanes, columns)}"
    )


def _advice(lanes: int | None, columns: int | None) -> str:
    pinned = " or fewer --lanes and --columns" if lanes or columns else ""
    return f"try a larger board{pinned}"


def candidates(
    target: Target, lanes: int | None, columns: int | None, requant_lanes: int | None
) -> Iterator[Engine]:
    """Engines to try, with open memory depths, within the target's multipliers.

    Raises FitError when no open size is within them, ConfigError when the requantise lanes divide
    none.
    """
    sizes = [
        (k, n)
        for k in ((lanes,) if lanes else SIZES)
        for n in ((columns,) if columns else SIZES)
        if k * n <= target.dsp or (lanes and columns)
    ]
    if not sizes:
        k, n = lanes or SIZES[0], columns or SIZES[0]
        raise FitError(
            f"no engine fits {target.name}: it needs {k * n} DSP multipliers with {k} lanes and "
            f"{n} columns, the board has {target.dsp}; {_advice(lanes, columns)}"
        )
    divided = False
    for k, n in sizes:
        for r in (requant_lanes,) if requant_lanes else (1, 2, 4, 8):
            if k % r == 0 and n % r == 0:
                divided = True
                yield _styled(target, k, n, r)
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


def _styled(target: Target, k: int, n: int, r: int) -> Engine:
    """Multipliers go into DSPs in order of need until the usable share is spent."""
    left = int(target.dsp * DSP_SHARE)
    styles = []
    for count in (k * n, 4 * r, k):
        style = Style.DSP if count <= left else Style.LUT
        left -= count if style is Style.DSP else 0
        styles.append(style)
    if k * n <= target.dsp:
        styles[0] = Style.DSP
    return Engine(
        lanes=k,
        columns=n,
        requant_lanes=r,
        accumulator_bits=25,
        weight_bits=8,
        array_multiplier=styles[0],
        requant_multiplier=styles[1],
        vector_multiplier=styles[2],
        memories=Memories(act=1, weight=1, vector=1, param=1, program=1),
    )


def shortfall(target: Target, engine: Engine, needs: Resources) -> tuple[float, str]:
    """How far the scarcest resource is exceeded (1.0: just fits), and a sentence about it."""
    sizes = f"{engine.lanes} lanes and {engine.columns} columns"
    budgets = (
        ("block RAMs", needs.bram, target.bram),
        ("DSP multipliers", needs.dsp, target.dsp),
        ("LUTs", needs.lut, int(target.lut * LUT_SHARE)),
        ("flip-flops", needs.ff, int(target.ff * LUT_SHARE)),
    )
    name, needed, available = max(budgets, key=lambda item: _ratio(item[1], item[2]))
    return _ratio(needed, available), (
        f"it needs {needed} {name} with {sizes}, the board has {available} for it"
    )


def _ratio(needed: int, available: int) -> float:
    if available:
        return needed / available
    return math.inf if needed else 0.0
