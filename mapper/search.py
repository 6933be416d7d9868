"""Choosing the engine: the fastest one that fits the board."""

from collections.abc import Iterator

from weft.mapper import cost
from weft.mapper.build import FOLD_LEVELS, build
from weft.mapper.plan import Engine, Memories, Plan, Style
from weft.mapper.resources import Resources, predict
from weft.mapper.target import Target
from weft.nn.errors import ConfigError, FitError
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

    Raises FitError when none fits, ConfigError when pinned sizes do not go together.
    """
    best: tuple[tuple[int, int, int], Plan] | None = None
    closest: tuple[float, str] | None = None
    for engine in candidates(target, lanes, columns, requant_lanes):
        for level in FOLD_LEVELS:
            tried = build(graph, target, engine, level)
            needs = predict(tried.engine)
            excess, reason = shortfall(target, tried.engine, needs)
            if excess > 1:
                if closest is None or excess < closest[0]:
                    closest = (excess, reason)
                continue
            rank = (cost.cycles(tried), needs.dsp, needs.bram)
            if best is None or rank < best[0]:
                best = (rank, tried)
    if best is None:
        assert closest is not None
        raise FitError(
            f"{graph.name} does not fit {target.name}: {closest[1]}; try a larger board"
            + (" or fewer --lanes and --columns" if lanes or columns else "")
        )
    return best[1]


def candidates(
    target: Target, lanes: int | None, columns: int | None, requant_lanes: int | None
) -> Iterator[Engine]:
    """Engines to try, with open memory depths, within the target's multipliers."""
    found = False
    for k in (lanes,) if lanes else SIZES:
        for n in (columns,) if columns else SIZES:
            if k * n > target.dsp and not (lanes and columns):
                continue
            for r in (requant_lanes,) if requant_lanes else (1, 2, 4, 8):
                if k % r or n % r:
                    continue
                found = True
                yield _styled(target, k, n, r)
    if not found:
        raise ConfigError(
            f"requantise lanes must divide lanes and columns: {requant_lanes} does not divide "
            f"{lanes or 'any'} and {columns or 'any'} that fit {target.name}"
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
    worst = max(budgets, key=lambda item: item[1] / max(1, item[2]))
    name, needed, available = worst
    return needed / max(1, available), (
        f"it needs {needed} {name} with {sizes}, the board has {available} for it"
    )
