"""What every operator of the graph says of itself; ``weft.nn.ir.ops`` has one operator a file."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.origin import Origin
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN, Codes, Tensors
from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Operator(Value):
    """Base of all operators. ``low, high`` clamp the output codes (a folded Relu or Clip)."""

    name: str  # of the ONNX node it came from
    output: str
    low: int = CODE_MIN
    high: int = CODE_MAX
    origins: tuple[Origin, ...] = ()  # the model's nodes that it is for, the first one above all

    type: ClassVar[str]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads, in order."""
        raise NotImplementedError

    def check(self, tensors: Tensors) -> None:
        """Raise ValueError where its fields and the tensors' shapes do not fit together."""
        raise NotImplementedError

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """Output codes int8 [N, C, H, W]: the definition of the operator, bit for bit."""
        raise NotImplementedError

    def bounds(self, tensors: Tensors, low: Codes, high: Codes) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest output codes, inputs lying anywhere in ``low..high``.

        Most operators do not fall where an input rises: factors are not negative, and C3's
        rounding, the clamps and the maximum are monotone. So the results at the bounds are bounds;
        an operator of another kind overrides this.
        """
        return self.compute(tensors, low), self.compute(tensors, high)


def at_corners(
    operator: Operator, a: str, b: str, tensors: Tensors, low: Codes, high: Codes
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of an operator that is monotone in each of its operands, rising or falling.

    It is least and largest where both operands are at a bound. One tensor as both operands: a
    square falls to 0 and rises again, so that the code nearest to zero counts, too.
    """
    if a == b:
        nearest = np.clip(tensors[a].zero_point, low[a], high[a]).astype(np.int8)
        ways = [{a: low[a]}, {a: high[a]}, {a: nearest}]
    else:
        ways = [{a: x[a], b: y[b]} for x in (low, high) for y in (low, high)]
    found = np.stack([operator.compute(tensors, codes) for codes in ways])
    return found.min(axis=0), found.max(axis=0)
