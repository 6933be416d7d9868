"""Scales and codes: int8 activations, int8 weights, int32 biases."""

from dataclasses import dataclass

import numpy as np
from onnxruntime.quantization import quant_utils

LIMIT = 1 << 29
"""Largest code of a bias, a quarter of what int32 holds: the rest is for the products."""

BIAS_STEPS = 1 << 12
"""Codes of the largest bias behind an activation that is always 0."""

SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What codes mean: (code - zero_point) * scale; along ``axis`` where there is one."""

    scale: np.ndarray  # float32, [] or [channels]
    zero_point: np.ndarray  # of the codes' type, the same shape
    axis: int | None = None

    @property
    def is_free(self) -> bool:
        """Whether no sample had another value than 0."""
        return self.axis is None and float(self.scale) == 1 and float(self.zero_point) == 0

    def codes(self, values: np.ndarray) -> np.ndarray:
        """int8 codes of values. Only where there is one scale."""
        ratio = np.rint(values.astype(np.float32) / self.scale) + self.zero_point
        return np.clip(ratio, -128, 127).astype(np.int8)


def activation_scale(low: float, high: float) -> Scale:
    """The int8 codes that hold a range, widened to hold 0."""
    bounds = (np.array(low, np.float32), np.array(high, np.float32))
    zero_point, scale = quant_utils.compute_scale_zp(*bounds, *np.array([-128, 127], np.int8))
    return Scale(scale=np.asarray(scale, np.float32).reshape(()), zero_point=zero_point.reshape(()))


def beside(bias: np.ndarray, weight: Scale) -> Scale:
    """For an activation that was 0 in all samples: fine enough for the bias of its reader.

    The scale of codes that are all the same is free; that of the bias is a multiple of it.
    """
    finest = float(np.abs(bias).max(initial=0)) / (BIAS_STEPS * float(weight.scale.max()))
    scale = np.clip(finest or 1.0, SMALLEST, 1.0)
    return Scale(scale=np.asarray(scale, np.float32), zero_point=np.zeros((), np.int8))


def weight_scale(weight: np.ndarray, axis: int | None) -> Scale:
    """Symmetric int8 codes, -127..127, one scale for each place along ``axis`` or one for all."""
    others = None if axis is None else tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.asarray(np.abs(weight).max(axis=others, initial=0), np.float64) / 127
    scale = np.where(scale < SMALLEST, 1.0, scale).astype(np.float32)
    return Scale(scale=scale, zero_point=np.zeros(scale.shape, np.int8), axis=axis)


def with_room(weight: Scale, source: Scale, bias: np.ndarray, is_free: np.ndarray) -> Scale:
    """Scales of weights whose product with the input's scale suits the bias.

    Coarser by powers of two where the bias codes would be beyond LIMIT: a factor near 0 of a
    BatchNormalization leaves a channel with tiny weights and an ordinary bias. As fine as the bias
    needs where ``is_free``: all weights are 0 and their scale does not matter.
    bias: float32 [channels].
    """
    size = np.abs(bias.astype(np.float64))
    if weight.axis is not None:  # of one group, where weights are transposed
        size = size.reshape(-1, len(weight.scale)).max(axis=0)
    finest = np.clip(size / (BIAS_STEPS * float(source.scale)), SMALLEST, 1)
    start = np.where(is_free & (size > 0), finest, weight.scale)
    if weight.axis is None:
        start = start.max()
    step = start.astype(np.float64) * float(source.scale)
    power = np.ceil(np.log2(np.maximum(np.maximum(size / LIMIT, SMALLEST) / step, 1)))
    if weight.axis is None:
        power = power.max(initial=0)
    with np.errstate(over="ignore"):
        scale = np.asarray(start * 2.0**power).astype(np.float32)
    return Scale(scale=scale, zero_point=weight.zero_point, axis=weight.axis)


def weight_codes(weight: np.ndarray, scale: Scale) -> np.ndarray:
    """int8 codes of weights, the nearest ones."""
    along = [-1 if i == scale.axis else 1 for i in range(weight.ndim)]
    ratio = weight / (scale.scale.reshape(along) if scale.axis is not None else scale.scale)
    return np.clip(np.rint(ratio), -127, 127).astype(np.int8)


def bias_codes(bias: np.ndarray, weight: Scale, source: Scale) -> tuple[np.ndarray, Scale]:
    """int32 codes of a bias [channels] and their scale, that of the products."""
    scale = (weight.scale * source.scale).astype(np.float32)
    if weight.axis is not None:  # of one group, where weights are transposed
        scale = np.tile(scale, len(bias) // len(scale))
    codes = np.rint(bias.astype(np.float64) / scale.astype(np.float64)).astype(np.int32)
    own = None if weight.axis is None else 0
    return codes, Scale(scale=scale, zero_point=np.zeros(scale.shape, np.int32), axis=own)
