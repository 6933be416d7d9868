"""A plan file that somebody has edited: read, and checked against the model and the board."""

from pathlib import Path

from weft.engines.kinds import read_plan as from_json
from weft.errors import ConfigError
from weft.files import read_object
from weft.machine.plan import SCHEMA, Plan, other_schema
from weft.machine.target import Target
from weft.mapper.edited import check_edited
from weft.nn.ir.graph import Graph

HINT = "docs/plan.md explains the fields"


def read_plan(path: Path, graph: Graph, target: Target) -> Plan:
    """The plan in a file, which may have been written by hand.

    Raises ConfigError naming the file, the step and the field that is wrong, FitError where its
    engine is too large for the target.
    """
    data = read_object(path)
    if (schema := data.get("schema", 1)) != SCHEMA:
        raise ConfigError(f"{path}: {other_schema(schema)}; compile the model again")
    try:
        plan = from_json(data)
        check_edited(graph, target, plan)
    except ValueError as error:
        raise ConfigError(f"{path}: {error!s:.1000}; {HINT}") from error
    return plan
