"""Which weights stay: the optimal brain surgeon's choice, in a few steps, refitted after each.

Ref: Hassibi and Stork, "Second order derivatives for network pruning: optimal brain surgeon".
"""

import numpy as np

from weft.nn.compress.moments import Moments
from weft.nn.compress.patterns import Classes

STEPS = 5  # in which the share of zeros grows, by equal factors of what is kept


def pruned(problem: Moments, classes: Classes | None) -> tuple[np.ndarray, np.ndarray]:
    """Mask bool and best weights float64, [outputs, inputs] each; all stay where classes is None.

    Zeros are chosen by what they cost after the others have been fitted again, w^2 / [H^-1]_ii,
    summed over the outputs that share them.
    """
    n_inputs, n_outputs = problem.cross.shape
    if classes is None or classes.kept >= classes.largest:
        return np.ones((n_outputs, n_inputs), bool), problem.solution()
    mask = np.zeros((n_outputs, n_inputs), bool)
    weight = np.zeros((n_outputs, n_inputs))
    inverse = np.linalg.inv(problem.square)
    for first in range(0, n_outputs, classes.sharing):
        rows = slice(first, first + classes.sharing)
        kept = _kept(problem, classes, inverse, problem.cross[:, rows])
        mask[rows, kept] = True
        square = problem.square[np.ix_(kept, kept)]
        weight[rows, kept] = np.linalg.solve(square, problem.cross[kept, rows]).T
    return mask, weight


def _kept(problem: Moments, classes: Classes, inverse: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """The inputs that some outputs keep. inverse: of the whole problem's square."""
    kept = np.arange(len(inverse))
    for count in _schedule(classes.largest, classes.kept):
        if len(kept) < len(problem.square):
            inverse = np.linalg.inv(problem.square[np.ix_(kept, kept)])
        weight = inverse @ cross[kept]
        cost = (weight**2).sum(axis=1) / np.diag(inverse)
        kept = classes.strongest(kept, cost, count)
    return kept


def _schedule(whole: int, kept: int) -> list[int]:
    """How many of a class stay after each step, ending with ``kept``."""
    counts = np.rint(whole * (kept / whole) ** (np.arange(1, STEPS + 1) / STEPS)).astype(int)
    return sorted({int(c) for c in counts if kept < c < whole} | {kept}, reverse=True)
