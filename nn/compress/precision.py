"""Bits of each layer: least error under a budget, by integer programming."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from weft.errors import FitError
from weft.nn.compress.layers import Layer
from weft.nn.compress.one_shot import surrogate
from weft.nn.compress.rounding import MOST_BITS

AUTO_BITS = (8, 4, 3, 2)  # between which mixed precision chooses

RESOLUTION = 1_000_000  # the largest error as a whole number


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A layer with so many bits: what it costs, and how much of its output's power is error."""

    bits: int
    cost: int
    error: float


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the weights of all layers may cost together.

    cost: of a layer at so many bits, in whole numbers that add up to ``limit`` at most; unit: in
    words; most_bits: of any layer.
    """

    limit: int
    unit: str
    cost: Callable[[Layer, int], int]
    most_bits: int = MOST_BITS


def budgeted(
    layers: Sequence[Layer],
    squares: Mapping[str, Sequence[np.ndarray]],
    budget: Budget,
    fixed: Mapping[str, int],
) -> dict[str, int]:
    """Bits by layer of the least error within a budget.

    squares: of ``one_shot.targets``; fixed: layers whose bits are settled. Raises FitError where
    the budget is out of reach.
    """
    check_width(max(fixed.values(), default=0), budget)
    options = {}
    for layer in layers:
        own = (fixed[layer.name],) if layer.name in fixed else AUTO_BITS
        bits = [b for b in own if b <= budget.most_bits]
        options[layer.name] = [
            Choice(
                bits=b,
                cost=budget.cost(layer, b),
                error=0.0 if len(bits) == 1 else surrogate(layer, squares[layer.name], b),
            )
            for b in bits
        ]
    check_reach(least(options), budget)
    return chosen(options, budget.limit)


def check_width(bits: int, budget: Budget) -> None:
    """Raise FitError where a layer of so many bits is beyond the budget."""
    if bits > budget.most_bits:
        raise FitError(
            f"weights of {bits} bits are beyond the budget, which has room for {budget.most_bits} "
            "bits"
        )


def check_reach(total: int, budget: Budget) -> None:
    """Raise FitError where a sum of costs, the least that is possible, is beyond the budget."""
    if total > budget.limit:
        raise FitError(
            f"a budget of {budget.limit} {budget.unit} is out of reach: the least possible here is "
            f"{total}"
        )


def least(choices: Mapping[str, Sequence[Choice]]) -> int:
    """The least cost of all layers together."""
    return sum(min(choice.cost for choice in options) for options in choices.values())


def chosen(choices: Mapping[str, Sequence[Choice]], budget: int) -> dict[str, int]:
    """Bits by layer, of the least sum of errors that costs at most ``budget``.

    Equal errors go to the cheaper choice. Raises ValueError below ``least``.
    """
    if budget < least(choices):
        raise ValueError(f"a budget of {budget} is below the least cost")
    model = cp_model.CpModel()
    top = max((c.error for options in choices.values() for c in options), default=0) or 1.0
    total = sum(max(c.cost for c in options) for options in choices.values()) + 1
    picks = {name: [model.new_bool_var("") for _ in options] for name, options in choices.items()}
    cost = sum(
        choice.cost * pick
        for name, options in choices.items()
        for choice, pick in zip(options, picks[name], strict=True)
    )
    error = sum(
        round(choice.error / top * RESOLUTION) * pick
        for name, options in choices.items()
        for choice, pick in zip(options, picks[name], strict=True)
    )
    for variables in picks.values():
        model.add_exactly_one(variables)
    model.add(cost <= budget)
    model.minimize(error * total + cost)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    assert status == cp_model.OPTIMAL, solver.status_name(status)
    return {
        name: next(
            choice.bits
            for choice, pick in zip(options, picks[name], strict=True)
            if solver.boolean_value(pick)
        )
        for name, options in choices.items()
    }
