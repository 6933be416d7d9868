"""What ONNX Runtime makes of each of the 256 codes of a tensor: in float32, or by integer kernels.

Operators that act on each element alone are known completely by it, whatever they compute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from weft.nn.ir.host_steps import dequantize, quantize
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN
from weft.nn.onnx.symbols import Quantisation

Kernel = Callable[[Quantisation], np.ndarray | None]


@dataclass(frozen=True, kw_only=True)
class CodeValues:
    """Values of the codes -128..127, in order, after the operators so far.

    values: float32 [1, 256], or a row for each channel. kernel: int64 codes of the same shape from
    the output's quantisation, where a kernel of integers takes the place of float32 if that is all;
    None where it does not.
    """

    values: np.ndarray
    kernel: Kernel | None = None

    @classmethod
    def of(cls, own: Quantisation) -> Self:
        """The codes of a tensor, dequantised."""
        codes = np.arange(CODE_MIN, CODE_MAX + 1) + own.offset
        return cls(values=dequantize(codes, own.scale, own.zero_point)[None])

    def then(
        self, function: Callable[[np.ndarray], np.ndarray], kernel: Kernel | None = None
    ) -> Self:
        """After one more operator on float32."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return type(self)(values=function(self.values).astype(np.float32), kernel=kernel)

    def codes(self, result: Quantisation, low: int, high: int) -> np.ndarray:
        """The int8 codes that QuantizeLinear gives, clamped: int64 of the values' shape."""
        fused = None if self.kernel is None else self.kernel(result)
        if fused is not None:
            return np.clip(fused, low, high)
        codes = quantize(self.values, result.scale, result.zero_point, result.dtype)
        return np.clip(codes.astype(np.int64) - result.offset, low, high)
