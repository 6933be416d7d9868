"""Weights, biases and factors in the order in which the engine reads them."""

import numpy as np

from weft.machine.plan import BIAS_OFFSET, POINTS, Params
from weft.nn.ir.numerics import Scaling


def array_weights(weight: np.ndarray, lanes: int, columns: int, first: int) -> np.ndarray:
    """[C_out, C_in, kh, kw] as tiles [tile * tap, K, N]; taps run over (kh, kw, input word).

    ``first`` columns before the first output channel stay empty (an unaligned part of a Concat).
    """
    n_out, n_in, kh, kw = weight.shape
    words, tiles = -(-n_in // lanes), -(-(first + n_out) // columns)
    padded = np.zeros((tiles * columns, words * lanes, kh, kw), dtype=np.int16)
    padded[first : first + n_out, :n_in] = weight
    split = padded.reshape(tiles, columns, words, lanes, kh, kw)
    return split.transpose(0, 4, 5, 2, 3, 1).reshape(-1, lanes, columns)


def vector_weights(weight: np.ndarray, lanes: int, taps: int) -> np.ndarray:
    """Depthwise [C, 1, kh, kw] as words [input word * tap, T * K] of which T = 0 alone is used."""
    words = _by_word(weight, lanes)
    flat = words.transpose(0, 2, 3, 1).reshape(-1, lanes)
    return np.pad(flat, ((0, 0), (0, (taps - 1) * lanes)))


def rolling_weights(weight: np.ndarray, lanes: int, taps: int, stride: int) -> np.ndarray:
    """Depthwise [C, 1, kh, kw] for sums that roll along a row: [input word, row, column, T * K].

    A tile brings ``stride`` columns, the last of which ends the window of output 0; sum t belongs
    to output t and sees the columns ``t * stride`` further left in its window.
    """
    words = _by_word(weight, lanes)
    n_words, _, kh, kw = words.shape
    rolled = np.zeros((n_words, kh, stride, taps, lanes), dtype=np.int16)
    for phase in range(stride):
        for tap in range(taps):
            col = kw - stride + phase - tap * stride
            if 0 <= col < kw:
                rolled[:, :, phase, tap] = words[:, :, :, col].transpose(0, 2, 1)
    return rolled.reshape(-1, taps * lanes)


def _by_word(weight: np.ndarray, lanes: int) -> np.ndarray:
    """[C, 1, kh, kw] as [word, K, kh, kw], unused lanes zero."""
    channels, _, kh, kw = weight.shape
    words = -(-channels // lanes)
    padded = np.zeros((words * lanes, kh, kw), dtype=np.int16)
    padded[:channels] = weight[:, 0]
    return padded.reshape(words, lanes, kh, kw)


def dense(weight: np.ndarray, groups: int) -> np.ndarray:
    """A grouped convolution's weights [C_out, C_in / groups, kh, kw] as those of a dense one."""
    if groups == 1:
        return weight
    n_out, per_group, kh, kw = weight.shape
    full = np.zeros((n_out, per_group * groups, kh, kw), dtype=np.int16)
    outs = n_out // groups
    for g in range(groups):
        rows = slice(g * outs, (g + 1) * outs)
        full[rows, g * per_group : (g + 1) * per_group] = weight[rows]
    return full


def encode_scaling(scaling: Scaling) -> tuple[np.ndarray, np.ndarray]:
    """Factors as the output path takes them: 32-bit integers and codes of ``POINTS``.

    The same numbers as the reference uses: saturating and vanishing factors included.
    """
    factors, codes = [], []
    for mantissa, shift in zip(scaling.mantissa.tolist(), scaling.shift.tolist(), strict=True):
        if mantissa == 0 or shift > POINTS[-1]:
            factor, code = 0, 0
        elif shift < 16:
            # At least 2**8: every non-zero sum saturates, as it does with the largest factor.
            factor, code = (1 << 32) - 1, 0
        else:
            code = next(i for i, point in enumerate(POINTS) if point >= shift)
            factor = mantissa << (POINTS[code] - shift)
        factors.append(factor)
        codes.append(code)
    return np.array(factors, dtype=np.int64), np.array(codes, dtype=np.int64)


def param_groups(bias: np.ndarray, scaling: Scaling, first: int, lanes: int) -> Params:
    """Parameter words of consecutive channels, ``lanes`` to a word, after ``first`` empty ones."""
    factor, code = encode_scaling(scaling)
    n = len(bias)
    words = -(-(first + n) // lanes)
    rows = []
    for values in (bias + BIAS_OFFSET, factor, code):
        padded = np.zeros(words * lanes, dtype=np.int64)
        padded[first : first + n] = np.broadcast_to(values, n)
        rows.append(padded.reshape(words, lanes))
    return Params(bias=rows[0], factor=rows[1], shift=rows[2])


def accumulator_range(weight: np.ndarray, bias: np.ndarray) -> int:
    """Bits of a signed number that holds every sum of int8 codes times ``weight`` plus ``bias``."""
    flat = weight.reshape(len(bias), -1).astype(np.int64)
    positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
    highest = 127 * positive - 128 * negative + bias + BIAS_OFFSET
    lowest = 127 * negative - 128 * positive + bias + BIAS_OFFSET
    return signed_bits(int(lowest.min()), int(highest.max()))


def signed_bits(lowest: int, highest: int) -> int:
    """Bits of a two's complement number that holds both."""
    return max((-lowest - 1).bit_length() if lowest < 0 else 0, max(highest, 0).bit_length()) + 1
