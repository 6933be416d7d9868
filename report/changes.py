"""What to change: alternatives, each planned again, so that its gain is the cycle model's own."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from weft.boards.board import list_boards, load_board
from weft.boards.target import target_of
from weft.errors import WeftError
from weft.gen.build_dir import Build
from weft.machine import timing
from weft.machine.plan import Plan
from weft.machine.target import Target
from weft.mapper.build import Draft
from weft.mapper.resources import predict_for
from weft.mapper.search import Options, search, shortfall
from weft.nn.ir.graph import Graph
from weft.report.rewrites import Rewrite, rewrites

FASTER, SMALLER, BOARD, DEVICE = "faster", "smaller", "board", "device"
SIZES = {
    "lanes": "lanes",
    "columns": "columns",
    "array": "requantisation lanes of the array",
    "vector": "requantisation lanes of the vector unit",
}
RELAXED = (1.1, 1.5, 2.0)
"""How much longer an inference may take in the alternatives that are to be smaller."""

LEAST_GAIN = 0.005  # share of the time, or of the LUTs, below which nothing is shown
SAFE_SHARE = 0.95  # of the fastest clock that place-and-route reported
ENDLESS = 1 << 20  # of every resource


@dataclass(frozen=True, kw_only=True)
class Try:
    """A network on a target with options, what is different, and the words of `weft compile`.

    kind: what is changed; aim: what for. room: what the engine is searched within where the target
    is too small.
    """

    kind: str
    aim: str
    change: str
    graph: Graph
    target: Target
    options: Options
    command: str | None = None
    room: Target | None = None


def changes(
    build: Build, options: Options, *, quick: bool = False, seconds: float = math.inf
) -> dict[str, Any]:
    """The ``changes`` part of report.json: alternatives that are faster or smaller, best first,
    and what the network would do on every board.

    options: what the build was compiled with. quick: only what takes little time. seconds: when no
    further search is begun; ``untried`` says how many were left.
    """
    end = time.monotonic() + seconds
    tries = [*_own_board(build, options), *_larger_engines(build.plan, build.graph)]
    if not quick:
        tries += [_larger_device(build), *_smaller(build), *_other_boards(build)]
    rows, untried = [], 0
    for item in tries:
        if time.monotonic() > end:
            untried += 1
        elif row := _tried(build.plan, item):
            rows.append(row)
    return {
        "quick": quick,
        "untried": untried,
        "rows": _ranked([row for row in rows if row["kind"] != BOARD]),
        "boards": sorted(
            (row for row in rows if row["kind"] == BOARD),
            key=lambda row: (row["microseconds"], row["board"]),
        ),
    }


def with_clock(rows: Iterable[dict[str, Any]], synthesis: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows, and a faster clock where place-and-route found that the design can have one."""
    kept = [row for row in rows if row["kind"] != "clock"]
    clock, fastest = synthesis.get("clock_mhz"), synthesis.get("fmax_mhz")
    if not clock or not fastest or int(fastest * SAFE_SHARE) <= clock:
        return kept
    reach = int(fastest * SAFE_SHARE)
    row = {
        "kind": "clock",
        "aim": FASTER,
        "change": f"a clock of {reach} MHz, {SAFE_SHARE:.0%} of what place-and-route reported",
        "gain": round(1 - clock / reach, 4),
        "command": f"weft synth BUILD --clock {reach}",
    }
    return _ranked([*kept, row])


def _tried(plan: Plan, item: Try) -> dict[str, Any] | None:
    """An alternative beside the plan; None where the network has no such engine.

    gain: share of the plan's time that it saves. fits: whether its board is large enough.
    """
    # Another device is searched at once: its engine may be one that fits this board, too.
    found = None if item.kind == DEVICE else _found(item, item.target)
    if found is None and item.room is not None:
        found = _found(item, item.room)
    if found is None:
        return None
    engine = found.engine
    cycles = timing.program_cycles(engine, found.steps, found.transfers)
    microseconds = cycles / item.target.clock_hz * 1e6
    base = timing.cycles(plan) / plan.target.clock_hz * 1e6
    needs = predict_for(item.target, engine)
    own = predict_for(plan.target, plan.engine)
    most, why = shortfall(item.target, engine, needs)
    return {
        "kind": item.kind,
        "aim": item.aim,
        "change": item.change,
        "board": item.target.name,
        "clock_mhz": round(item.target.clock_hz / 1e6, 4),
        "lanes": engine.lanes,
        "columns": engine.columns,
        "requant_lanes": [engine.array_requant, engine.vector_requant],
        "cycles": cycles,
        "microseconds": round(microseconds, 2),
        "gain": round(1 - microseconds / base, 4),
        "lut": needs.lut,
        "lut_saved": round(1 - needs.lut / max(1, own.lut), 4),
        "dsp": needs.dsp,
        "bram": needs.bram,
        "fits": most <= 1,
        "fullest": round(most, 4) if math.isfinite(most) else None,
        "remark": "" if most <= 1 else why,
        "command": item.command,
    }


def _found(item: Try, target: Target) -> Draft | None:
    try:
        return search(item.graph, target, **item.options)
    except WeftError:  # does not fit, or has no such size
        return None


def _ranked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The faster ones by the time saved, then the smaller ones by LUTs; the rest is left out."""
    faster = [r for r in rows if r["aim"] == FASTER and r["gain"] >= LEAST_GAIN]
    smaller = [r for r in rows if r["aim"] == SMALLER and r["lut_saved"] >= LEAST_GAIN]
    faster.sort(key=lambda row: (-row["gain"], row["change"]))
    smaller.sort(key=lambda row: (-row["lut_saved"], row["change"]))
    seen: set[tuple[Any, ...]] = set()
    unique = []
    for row in smaller:  # relaxing further may change nothing
        key = (row["board"], row["cycles"], row["lut"])
        if key not in seen:
            unique.append(row)
        seen.add(key)
    return faster + unique


def _own_board(build: Build, options: Options) -> Iterator[Try]:
    """Pins let go, other lanes of requantisation, and rewritten networks, on the same board."""
    plan, engine = build.plan, build.plan.engine
    board = plan.target.name
    if any(value is not None for value in options.values()):
        yield Try(
            kind="engine",
            aim=FASTER,
            change="the engine that weft chooses when no size is pinned",
            graph=build.graph,
            target=plan.target,
            options={},
            command=f"weft compile MODEL --board {board} -o BUILD",
        )
        sizes: Options = {"lanes": engine.lanes, "columns": engine.columns}
        yield Try(
            kind="requantisation",
            aim=FASTER,
            change="other requantisation lanes beside the same array",
            graph=build.graph,
            target=plan.target,
            options=sizes,
            command=f"weft compile MODEL --board {board} -o BUILD --lanes {engine.lanes} "
            f"--columns {engine.columns}",
        )
    for item in rewrites(build.graph):
        yield _rewritten(item, plan)


def _rewritten(item: Rewrite, plan: Plan) -> Try:
    return Try(
        kind=item.kind,
        aim=FASTER,
        change=item.change,
        graph=item.graph,
        target=plan.target,
        options={},
    )


def _larger_engines(plan: Plan, graph: Graph) -> Iterator[Try]:
    """Twice as much of one of the engine's sizes, whether that fits or not."""
    engine, target = plan.engine, plan.target
    sizes = {
        "lanes": engine.lanes,
        "columns": engine.columns,
        "array": engine.array_requant,
        "vector": engine.vector_requant,
    }
    room = target.replace(lut=ENDLESS, ff=ENDLESS, bram=ENDLESS)
    for name, what in SIZES.items():
        twice = sizes | {name: 2 * sizes[name]}
        pair = (twice["array"], twice["vector"])
        requant = str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}+{pair[1]}"
        words = f"--lanes {twice['lanes']} --columns {twice['columns']} --requant-lanes {requant}"
        yield Try(
            kind=what,
            aim=FASTER,
            change=f"{what}: {twice[name]} in place of {sizes[name]}",
            graph=graph,
            target=target,
            room=room.replace(dsp=target.dsp * (2 if name in ("lanes", "columns") else 1)),
            options={
                "lanes": twice["lanes"],
                "columns": twice["columns"],
                "requant_lanes": pair,
            },
            command=f"weft compile MODEL --board {target.name} -o BUILD {words}",
        )


def _larger_device(build: Build) -> Try:
    """What a device would bring that is twice as large in everything."""
    target = build.plan.target
    twice = {name: 2 * getattr(target, name) for name in ("lut", "ff", "dsp", "bram", "spram")}
    return Try(
        kind=DEVICE,
        aim=FASTER,
        change="a device with twice as much of everything",
        graph=build.graph,
        target=target,
        room=target.replace(**twice),
        options={},
    )


def _smaller(build: Build) -> Iterator[Try]:
    target, base = build.plan.target, timing.cycles(build.plan)
    for factor in RELAXED:
        limit = int(base * factor)
        yield Try(
            kind="engine",
            aim=SMALLER,
            change=f"at most {limit:,} cycles",
            graph=build.graph,
            target=target,
            options={"cycles": limit},
            command=f"weft compile MODEL --board {target.name} -o BUILD --cycles {limit}",
        )


def _other_boards(build: Build) -> Iterator[Try]:
    own = build.plan.target
    for name in list_boards():
        if name == own.name:
            continue
        target = target_of(load_board(name))
        yield Try(
            kind=BOARD,
            aim=FASTER,
            change=f"the board {name}",
            graph=build.graph,
            target=target,
            options={},
            command=f"weft compile MODEL --board {name} -o BUILD",
        )
