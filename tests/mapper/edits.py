"""Edited plans: one field of a plan file changed, as a user or a program would."""

import copy
from typing import Any

import numpy as np

from weft.engines.kinds import read_plan
from weft.machine.plan import Plan


def edited(plan: Plan, path: str, value: Any) -> Plan:
    """The plan with one field of its file changed, by its path with dots."""
    data = copy.deepcopy(plan.to_json())
    holder, last = held(data, path)
    holder[last] = value
    return read_plan(data)


def held(data: Any, path: str) -> tuple[Any, Any]:
    """What holds a field, and the key that it has there."""
    keys = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in keys[:-1]:
        data = data[key]
    return data, keys[-1]


def numbers(data: Any, prefix: str = "") -> list[str]:
    """Paths of all whole numbers and truth values of a plan file, but for the images."""
    found = []
    items = enumerate(data) if isinstance(data, list) else data.items()
    for key, item in items:
        path = f"{prefix}{key}"
        if key in ("images", "edge", "target"):
            continue
        if isinstance(item, dict | list):
            found += numbers(item, f"{path}.")
        elif isinstance(item, int):
            found.append(path)
    return found


def mutants(plan: Plan, count: int, seed: int) -> list[tuple[str, Any]]:
    """Changes of single numbers: by a little, to a power of two, to nothing, to anything."""
    rng = np.random.default_rng(seed)
    data = plan.to_json()
    paths = numbers(data)
    found = []
    for path in rng.choice(paths, count):
        holder, key = held(data, str(path))
        now = holder[key]
        if isinstance(now, bool):
            found.append((str(path), not now))
            continue
        choices = (now + 1, now - 1, now * 2, -now, 0, 1, now + int(rng.integers(-9, 10)))
        value = int(rng.choice([*choices, int(rng.integers(1 << 40))]))
        found.append((str(path), value))
    return found
