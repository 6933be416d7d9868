"""What is wrong with a plan, as a value: where, which field, why, and what would work."""

from weft.machine.plan import Drain, Rows, Step

DEPENDENCIES = {"follow.need": Rows, "gap": Drain}
"""Properties of a step that are fields of one of its dependencies in the plan file."""


class PlanFault(ValueError):
    """A rule that a plan breaks.

    where: the part of the plan, such as ``step 2 ('conv')``. field: its field, by the names of the
    plan file. works: what would be right, or "".
    """

    def __init__(self, where: str, field: str, value: object, why: str, works: str = ""):
        self.where, self.field, self.value, self.why, self.works = where, field, value, why, works
        ending = f"; what works: {works}" if works else ""
        super().__init__(f"{where}: {field} is {value}: {why}{ending}")


def field_name(step: Step, name: str) -> str:
    """A step's field, or a property of it, by its path in the plan file."""
    if name not in DEPENDENCIES:
        return name
    kinds = [type(dependency) for dependency in step.after]
    if DEPENDENCIES[name] not in kinds:
        return "after"
    return f"after[{kinds.index(DEPENDENCIES[name])}].{name.removeprefix('follow.')}"


def step_name(index: int, step: Step) -> str:
    """How messages call a step: its number in the plan file, and its name."""
    return f"step {index} ({step.name!r})"
