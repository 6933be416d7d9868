"""Real results at the end of a network: accumulators that the host reads from several codes.

QONNX, QCDQ and PyTorch 2 exports end with a Gemm whose result is never quantised. A channel of 8
bits would be too coarse, so each becomes several channels, whose codes cover one part of the
accumulator's range after another; the sum of the codes is the accumulator, exactly where the
channels that a small layer is given reach that far, else in steps of a power of two.
"""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.host_steps import AccumulatorsStep
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.tensor import CODE_MIN
from weft.nn.onnx.builder import Builder, view_steps
from weft.nn.onnx.pending.conv import PendingConv, accumulator_range
from weft.nn.onnx.symbols import NO_CLIP, HostResult, Quantisation

SPAN = 255  # accumulator steps that one code covers
MIN_CODES = 2  # more while the repeated convolution has no more weights than this:
MAX_WEIGHTS = 1 << 14
ADVICE = "; quantise the output: put QuantizeLinear and DequantizeLinear behind it"
DEVIATIONS = 8  # that a quantised output would span: four to either side


def accumulators(builder: Builder, pending: PendingConv) -> HostResult:
    """The real result of a convolution or Gemm, as the host computes it from codes.

    One for all that read the result.
    """
    known = builder.results.get(id(pending))
    if known is None:
        known = builder.results[id(pending)] = pending, _accumulators(builder, pending)
    return known[1]


def _accumulators(builder: Builder, pending: PendingConv) -> HostResult:
    if pending.clip != NO_CLIP:
        raise ModelError(
            "its clamped result is an output that is not quantised: put QuantizeLinear and "
            "DequantizeLinear behind it",
            at=pending.origin,
        )
    low, high = accumulator_range(pending, builder)
    n_codes = max(MIN_CODES, MAX_WEIGHTS // pending.weight.size)
    needed = -(-np.maximum(high - low, 1) // SPAN)
    n_codes = min(n_codes, int(needed.max()))
    exponent = np.ceil(np.log2(np.maximum(needed / n_codes, 1))).astype(np.int64)
    step = np.int64(1) << exponent
    shape = (pending.channels * n_codes, *(*pending.own_shape[2:], 1, 1)[:2])
    output = builder.names.new(f"{pending.origin.name}_accumulators")
    quantisation = Quantisation(scale=1.0, zero_point=CODE_MIN, dtype="int8")
    first = np.arange(n_codes) * SPAN * step[:, None] + low[:, None]
    conv = Conv(
        name=pending.origin.name,
        output=output,
        input=pending.source,
        weight=np.repeat(pending.weight, n_codes, axis=0),
        bias=np.repeat(pending.bias, n_codes) - first.reshape(-1),
        scaling=scaling_of(np.repeat(np.exp2(-exponent.astype(np.float64)), n_codes)),
        window=pending.window,
        groups=pending.groups,
    )
    builder.add(
        pending.origin,
        conv,
        builder.new_tensor(output, (1, *shape), quantisation, pending.origin),
        quantisation,
    )
    scale = pending.scale(builder)
    if exponent.any():
        builder.note(
            pending.origin,
            f"its result is an output that is not quantised; the host reads it in "
            f"steps of up to {int(step.max())} accumulator steps, of a range of "
            f"{int((high - low).max())}{_error(builder, pending, step)}"
            f"{ADVICE if _coarse(builder, pending, step) else ''}",
        )
    decode = AccumulatorsStep(
        scales=tuple((scale * step).tolist()),
        offsets=tuple((low * scale + pending.offset).tolist()),
    )
    own = (1, pending.channels, *shape[1:])
    steps = view_steps(replace(pending, own_shape=own), own)
    return HostResult(tensor=output, shape=pending.shape, steps=(decode, *steps))


def _error(builder: Builder, pending: PendingConv, step: np.ndarray) -> str:
    """What reading the accumulators in steps, int64 [C_out], does to the result, in words."""
    size = np.abs(pending.scale(builder)) * np.where(step > 1, step, 0)
    typical = float(np.sqrt(np.mean(size**2) / 12))  # of errors spread evenly over each step
    text = f": values are off by up to {size.max() / 2:.3g}, typically {typical:.3g}"
    if pending.channels < 2:
        return text
    nearest = float(np.sort(size)[-2:].sum() / 2)
    return f"{text}, and classes whose scores are closer than {nearest:.3g} may change places"


def _coarse(builder: Builder, pending: PendingConv, step: np.ndarray) -> bool:
    """Whether 8 bits over the accumulators that are likely would be finer than these steps."""
    low, high = builder.ranges[pending.source]
    deviation = np.sqrt((pending.weight.astype(float) ** 2).sum(axis=(1, 2, 3)) / 12) * (high - low)
    return bool(np.any(step > deviation * DEVIATIONS / SPAN))
