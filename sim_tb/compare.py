"""The one comparison of simulated and expected tensors."""

from dataclasses import dataclass

import numpy as np

from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison(Value):
    """How far two int8 tensors [N, C, H, W] agree; ``str()`` says it in one line.

    position: (sample, channel, y, x) of the first difference in that order, () if there is none;
    expected and actual: the two values there; largest: the largest absolute difference.
    """

    name: str  # of the operator or tensor
    n_values: int
    n_mismatches: int
    position: tuple[int, ...] = ()
    expected: int = 0
    actual: int = 0
    largest: int = 0

    @property
    def bit_exact(self) -> bool:
        """Whether all values are equal."""
        return self.n_mismatches == 0

    def __str__(self) -> str:
        if self.bit_exact:
            return f"{self.name}: all {self.n_values} values equal"
        sample, channel, y, x = self.position
        return (
            f"{self.name}: {self.n_mismatches} of {self.n_values} values differ "
            f"(by up to {self.largest}), first at sample {sample}, channel {channel}, "
            f"y {y}, x {x}: expected {self.expected}, got {self.actual}"
        )


def compare(name: str, expected: np.ndarray, actual: np.ndarray) -> Comparison:
    """Compare int8 tensors [N, C, H, W] value by value.

    Raises ValueError if the two have different shapes or another type: that is no mismatch of
    values but a wrong use.
    """
    for what, array in (("expected", expected), ("actual", actual)):
        if array.ndim != 4 or array.dtype != np.int8:
            raise ValueError(f"{name}: {what} must be int8 [N, C, H, W], not {_kind(array)}")
    if expected.shape != actual.shape:
        raise ValueError(f"{name}: expected {_kind(expected)}, but actual is {_kind(actual)}")
    differences = np.flatnonzero(expected != actual)
    if not differences.size:
        return Comparison(name=name, n_values=expected.size, n_mismatches=0)
    first = np.unravel_index(differences[0], expected.shape)
    distance = np.abs(expected.astype(np.int16) - actual)
    return Comparison(
        name=name,
        n_values=expected.size,
        n_mismatches=int(differences.size),
        position=tuple(int(i) for i in first),
        expected=int(expected[first]),
        actual=int(actual[first]),
        largest=int(distance.max()),
    )


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
