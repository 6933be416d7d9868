"""The least-squares problem of a group of outputs: what stands for its samples."""

from dataclasses import dataclass

import numpy as np

DAMPING = 0.3  # of the mean square of an input: how far the original weights are held to


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """sum |w x - y|^2 over the samples, as a function of the weights w.

    square: float64 [inputs, inputs], the inputs' second moments, positive definite; cross:
    [inputs, outputs], those of inputs and wanted outputs; both without the means, which a bias
    takes up. mean_in: [inputs]; mean_out: [outputs].
    """

    square: np.ndarray
    cross: np.ndarray
    mean_in: np.ndarray
    mean_out: np.ndarray

    def solution(self) -> np.ndarray:
        """The best weights [outputs, inputs]."""
        return np.linalg.solve(self.square, self.cross).T

    def bias(self, weight: np.ndarray) -> np.ndarray:
        """The best bias [outputs] behind some weights [outputs, inputs]."""
        return self.mean_out - weight @ self.mean_in


def moments(inputs: np.ndarray, wanted: np.ndarray, weight: np.ndarray) -> Moments:
    """Of samples [n, inputs] and wanted outputs [n, outputs], held to some weights a little."""
    mean_in, mean_out = inputs.mean(axis=0), wanted.mean(axis=0)
    x, y = inputs - mean_in, wanted - mean_out
    square, cross = x.T @ x / len(x), x.T @ y / len(x)
    held = DAMPING * np.trace(square) / len(square)
    if not held > 0:  # nothing ever changes: the weights stay
        held = 1.0
    return Moments(
        square=square + held * np.eye(len(square)),
        cross=cross + held * weight.T,
        mean_in=mean_in,
        mean_out=mean_out,
    )
