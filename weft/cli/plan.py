"""Where the plan of ``weft compile`` comes from: the mapper, or a file that somebody has edited."""

import argparse

from weft.cli.fit import judged
from weft.errors import ConfigError, InternalError
from weft.gen.plan_file import read_plan
from weft.machine.check.fault import PlanFault
from weft.machine.check.samples import check_samples
from weft.machine.engine import Unit
from weft.machine.plan import Plan
from weft.machine.target import Target
from weft.mapper.pins import pinned
from weft.mapper.search import plan
from weft.nn.ir.graph import Graph

CHECKED = 1_000
"""Rows of tiles up to which a plan of weft's own is run, too: about a second."""

SIZES = ("lanes", "columns", "requant_lanes", "cycles")


def planned(args: argparse.Namespace, graph: Graph, target: Target) -> Plan:
    """The plan that ``args`` ask for. Raises WeftError where there is none, or it is wrong."""
    sizes = {name: vars(args)[name] for name in SIZES}
    if args.plan is not None:
        given = [name for name in (*SIZES, "pin") if vars(args)[name]]
        if given:
            option = given[0].replace("_", "-")
            raise ConfigError(f"--plan and --{option} exclude each other: the plan says it all")
        return read_plan(args.plan, graph, target)
    network = pinned(graph, {name: Unit(unit) for name, unit in args.pin})
    with judged(network, target, sizes):
        chosen = plan(network, target, **sizes)
    if sum(step.loops.rows * step.loops.tiles for step in chosen.steps) <= CHECKED:
        require_right(graph, chosen)
    return chosen


def require_right(graph: Graph, plan: Plan) -> None:
    """Raise InternalError where a plan of weft's own is wrong."""
    try:
        check_samples(graph, plan)
    except PlanFault as fault:
        raise InternalError(f"network {graph.name!r}: its plan is wrong: {fault}") from fault
