"""Bits by integer programming: least error within the budget."""

import itertools

import numpy as np
import pytest

from tests.nn.compress.networks import layer
from weft.errors import FitError
from weft.nn.compress.precision import Budget, Choice, budgeted, check_reach, chosen


def test_the_best_of_all_choices() -> None:
    rng = np.random.default_rng(0)
    choices = {
        f"l{i}": [
            Choice(bits=b, cost=b * size, error=float(rng.uniform(0.5, 1.5)) * 4.0**-b)
            for b in (8, 4, 3, 2)
        ]
        for i, size in enumerate((10, 40, 25, 70))
    }
    budget = 600
    found = chosen(choices, budget)
    picked = [next(c for c in choices[name] if c.bits == bits) for name, bits in found.items()]
    every = itertools.product(*choices.values())
    best = min(sum(c.error for c in some) for some in every if sum(c.cost for c in some) <= budget)
    assert sum(c.cost for c in picked) <= budget
    assert sum(c.error for c in picked) == pytest.approx(best, rel=1e-4)


def budget(limit: int, most_bits: int = 8) -> Budget:
    return Budget(
        limit=limit,
        unit="weight bits",
        cost=lambda item, bits: item.weight.size * bits,
        most_bits=most_bits,
    )


def test_out_of_reach_says_the_least_possible() -> None:
    own = layer(4, 4, 3, 3)
    squares = {own.name: [np.eye(36)]}
    with pytest.raises(FitError) as caught:
        budgeted((own,), squares, budget(100), {})
    assert str(caught.value) == (
        "a budget of 100 weight bits is out of reach: the least possible here is 288"
    )
    assert budgeted((own,), squares, budget(288), {}) == {"conv": 2}
    check_reach(288, budget(288))


def test_most_bits_and_settled_layers() -> None:
    own = layer(4, 4, 3, 3)
    squares = {own.name: [np.eye(36)]}
    assert budgeted((own,), squares, budget(10_000, most_bits=4), {}) == {"conv": 4}
    assert budgeted((own,), squares, budget(10_000), {"conv": 8}) == {"conv": 8}
    with pytest.raises(FitError, match="least possible here is 1152"):
        budgeted((own,), squares, budget(600), {"conv": 8})


def test_settled_layers_beyond_the_most_bits() -> None:
    own = layer(4, 4, 3, 3)
    with pytest.raises(FitError) as caught:
        budgeted((own,), {}, budget(10_000, most_bits=4), {"conv": 8})
    assert str(caught.value) == (
        "weights of 8 bits are beyond the budget, which has room for 4 bits"
    )
