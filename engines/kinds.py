"""The kinds of engines that there are."""

from typing import Any

from weft.engines.compact.kind import COMPACT
from weft.engines.kind import EngineKind
from weft.engines.overlapped.kind import OVERLAPPED
from weft.engines.w4.kind import W4
from weft.machine.engine import Engine
from weft.machine.plan import SCHEMA, Plan, other_schema

KINDS: tuple[EngineKind, ...] = (
    OVERLAPPED,
    COMPACT,
    W4,
)
"""In the order in which the search tries them."""


def kind_of(engine: Engine) -> EngineKind:
    """The kind of an engine."""
    return next(kind for kind in KINDS if kind.spec is type(engine))


def read_plan(data: dict[str, Any]) -> Plan:
    """A plan from its JSON.

    Raises ValueError where it is none, is of another schema, or its engine's kind is unknown.
    """
    if data.get("schema") != SCHEMA:
        raise ValueError(other_schema(data.get("schema", 1)))
    return Plan.from_json_with([kind.spec for kind in KINDS], data)
