"""Figures of a plan for people and programs: cycles by step, resources, memory."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from weft.machine import timing
from weft.machine.engine import Engine
from weft.machine.loads import by_step
from weft.machine.plan import Plan, Step, Transfer
from weft.mapper.allocate import Lifetime, peak_live
from weft.mapper.resources import predict_for


def prediction(plan: Plan) -> dict[str, Any]:
    """The ``prediction`` part of report.json: everything known before simulation and synthesis."""
    engine = plan.engine
    cycles = timing.cycles(plan)
    needs = predict_for(plan.target, engine)
    lifetimes = [
        Lifetime(
            tensor=b.tensor,
            words=b.words,
            bank=b.bank,
            first_step=b.first_step,
            last_step=b.last_step,
        )
        for b in plan.buffers
    ]
    return {
        "cycles": cycles,
        "macs": plan.macs,
        "multipliers": engine.multipliers,
        "mac_utilisation": round(plan.macs / (cycles * engine.multipliers), 4),
        "lut": needs.lut,
        "ff": needs.ff,
        "dsp": needs.dsp,
        "bram": needs.bram,
        "spram": needs.spram,
        "act_words": list(engine.memories.act),
        "act_words_live": [peak_live([x for x in lifetimes if x.bank == bank]) for bank in (0, 1)],
        "steps": _steps(plan),
        "notes": [str(note) for note in plan.notes],
    }


def step_cycles(engine: Engine, steps: Sequence[Step], transfers: Sequence[Transfer]) -> list[int]:
    """How much longer the program takes because of each step, loads included; all of it in sum."""
    ends = [timing.end for timing in timing.timings(engine, steps, transfers)]
    latest = [0, *accumulate(ends, max)]
    return [after - before for before, after in pairwise(latest)]


def _steps(plan: Plan) -> list[dict[str, Any]]:
    """One row per step: when it begins and ends, what it takes alone, what bounds it.

    cycles: see ``step_cycles``. utilisation: share of the cycles from its begin to its end in which
    its unit is given a tap.
    """
    rows = []
    timings = timing.plan_timings(plan)
    cycles = step_cycles(plan.engine, plan.steps, plan.transfers)
    loads = by_step(plan.engine, plan.transfers)
    for i, (step, times, own) in enumerate(zip(plan.steps, timings, cycles, strict=True)):
        rows.append(
            {
                "name": step.name,
                "operator": step.operator,
                "unit": step.unit.value,
                "begin": times.begin,
                "end": times.end,
                "cycles": own,
                "loads": timing.load_cycles(plan.engine, loads.get(i, ())),
                "floor": timing.floor_cycles(step),
                "utilisation": round(timing.floor_cycles(step) / (times.end - times.begin), 4),
                "bound": step.bound,
            }
        )
    return rows
