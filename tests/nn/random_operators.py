"""Random quantised operators: for each kind a function that adds one to a network.

A new kind is a function in ``LAYERS``: it takes the build and the quantised tensors that it reads,
adds its nodes, and gives the quantised result, or None where it does not fit what it reads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.nn import random_moves
from tests.nn.random_build import Build, Codes, Made, moved


def _window(b: Build, shape: tuple[int, ...], largest: int = 3, dilate: bool = True) -> dict:
    """Attributes of a window that fits the image, and its output's size."""
    kernel, strides, pads, dilations, sizes = [], [], [[], []], [], []
    for size in shape[1:]:
        k, s = b.whole(1, largest), b.whole(1, 2)
        d = b.pick((1, 1, 2)) if dilate else 1
        reach = d * (k - 1) + 1
        before, after = b.whole(0, k - 1), b.whole(0, k - 1)
        after += max(0, reach - size - before - after)
        kernel.append(k)
        strides.append(s)
        dilations.append(d)
        pads[0].append(before)
        pads[1].append(after)
        sizes.append((size + before + after - reach) // s + 1)
    made: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads[0] + pads[1]}
    if dilate:
        made["dilations"] = dilations
    return made | {"sizes": tuple(sizes)}


def _pool_window(b: Build, x: Codes, dilate: bool) -> dict | None:
    """ONNX Runtime wants a pool's pads smaller than its kernel."""
    window = _window(b, x.shape, dilate=dilate) if x.image else None
    if window is None or max(window["pads"]) >= min(window["kernel_shape"]):
        return None
    return window


def _conv(b: Build, x: Codes, groups: int, n_out: int) -> Made:
    if not x.image:
        return None
    window = _window(b, x.shape)
    sizes = window.pop("sizes")
    shape = (n_out, x.channels // groups, *window["kernel_shape"])
    w, scales = b.weights(shape, b.pick((0, None)))
    y = b.net.node("Conv", b.real(x), w, *b.bias(n_out, x, scales), group=groups, **window)
    spread = x.spread * np.sqrt(np.prod(shape[1:])) * 0.58 * float(scales.mean()) * 127
    return b.quantised(b.activation(y, spread), (n_out, *sizes), spread, x.dtype)


def conv(b: Build, x: Codes) -> Made:
    return _conv(b, x, 1, b.whole(1, 17))


def grouped(b: Build, x: Codes) -> Made:
    groups = b.pick([g for g in range(1, x.channels + 1) if x.channels % g == 0])
    return _conv(b, x, groups, groups * b.whole(1, 3))


def depthwise(b: Build, x: Codes) -> Made:
    return _conv(b, x, x.channels, x.channels * b.pick((1, 1, 2)))


def conv_transpose(b: Build, x: Codes) -> Made:
    if not x.image:
        return None
    groups = b.pick((1, x.channels))
    n_out = groups * b.whole(1, 3)
    kernel = [b.whole(1, 3), b.whole(1, 3)]
    strides = [b.whole(1, 3), b.whole(1, 3)]
    w, scales = b.weights((x.channels, n_out // groups, *kernel), None)
    attributes = {"group": groups, "kernel_shape": kernel, "strides": strides}
    y = b.net.node("ConvTranspose", b.real(x), w, *b.bias(n_out, x, scales), **attributes)
    sizes = [(n - 1) * s + k for n, s, k in zip(x.shape[1:], strides, kernel, strict=True)]
    spread = x.spread * np.sqrt(x.channels / groups) * 0.58 * float(scales.mean()) * 127
    return b.quantised(y, (n_out, *sizes), spread, x.dtype)


def gemm(b: Build, x: Codes) -> Made:
    real, n_in = b.real(x), int(np.prod(x.shape))
    if x.image:
        real = b.net.node("Flatten", real)
    n_out, trans = b.whole(1, 20), b.whole(0, 1)
    shape = (n_out, n_in) if trans else (n_in, n_out)
    w, scales = b.weights(shape, None)
    if b.rng.random() < 0.5:
        y = b.net.node("Gemm", real, w, *b.bias(n_out, x, scales), transB=trans)
    elif not trans:
        y = b.net.node("MatMul", real, w)
    else:
        return None
    spread = x.spread * np.sqrt(n_in) * 0.58 * float(scales.mean()) * 127
    return b.quantised(b.activation(y, spread), (n_out,), spread, x.dtype)


def add(b: Build, x: Codes, other: Codes) -> Made:
    if x.shape != other.shape or x.dtype != other.dtype:
        other = x
    y = b.net.node("Add", b.real(x), b.real(other))
    spread = float(np.hypot(x.spread, other.spread))
    return b.quantised(b.activation(y, spread), x.shape, spread, x.dtype)


def product(b: Build, x: Codes, other: Codes) -> Made:
    if x.shape != other.shape or x.dtype != other.dtype:
        return None
    y = b.net.node("Mul", b.real(x), b.real(other))
    return b.quantised(y, x.shape, x.spread * other.spread, x.dtype)


def difference(b: Build, x: Codes, other: Codes) -> Made:
    if x.shape != other.shape or x.dtype != other.dtype or x.name == other.name:
        return None
    y = b.net.node("Sub", b.real(x), b.real(other))
    return b.quantised(y, x.shape, float(np.hypot(x.spread, other.spread)), x.dtype)


def gated(b: Build, x: Codes) -> Made:
    """Each channel times a function of its mean, as in squeeze and excite."""
    if not x.image:
        return None
    shape = (x.channels, 1, 1)
    mean = b.quantised(b.net.node("GlobalAveragePool", b.real(x)), shape, x.spread, x.dtype)
    gate = b.quantised(b.net.node("Sigmoid", b.real(mean)), shape, 0.5, x.dtype)
    pair = [b.real(x), b.real(gate)]
    return b.quantised(b.net.node("Mul", *pair[:: b.pick((1, -1))]), x.shape, x.spread, x.dtype)


def by_constant(b: Build, x: Codes) -> Made:
    op, factor = b.pick(("Mul", "Div", "Add", "Sub")), float(b.rng.uniform(0.3, 3))
    if op in ("Add", "Sub"):
        factor *= x.spread
    constant: Any = factor
    if b.rng.random() < 0.3 and not x.flat:  # one for each channel
        constant = factor * b.rng.uniform(0.5, 1.5, (x.channels, *[1] * (len(x.shape) - 1)))
    y = b.net.node(op, b.real(x), b.net.constant(constant, "float32"))
    spread = {"Mul": factor, "Div": 1 / factor}.get(op, 1.5) * x.spread
    return b.quantised(y, x.shape, spread, x.dtype)


def batch_norm(b: Build, x: Codes) -> Made:
    if not x.image:
        return None
    n = x.channels
    values = [b.rng.uniform(0.5, 2, n), b.rng.normal(0, x.spread, n), b.rng.normal(0, x.spread, n)]
    constants = [b.net.constant(v, "float32") for v in (*values, b.rng.uniform(0.5, 2, n))]
    y = b.net.node("BatchNormalization", b.real(x), *constants)
    return b.quantised(y, x.shape, 2 * x.spread, x.dtype)


def concat(b: Build, x: Codes, other: Codes) -> Made:
    if x.shape[1:] != other.shape[1:] or x.dtype != other.dtype:
        other = x
    y = b.net.node("Concat", b.real(x), b.real(other), axis=1)
    shape = (x.channels + other.channels, *x.shape[1:])
    return b.quantised(y, shape, max(x.spread, other.spread), x.dtype)


def concat_along(b: Build, x: Codes, other: Codes) -> Made:
    """Rows or columns side by side, at one quantisation."""
    if not x.image:
        return None
    if x.shape != other.shape or x.dtype != other.dtype:
        other = x
    axis = b.whole(1, 2)
    y = b.net.node("Concat", b.real(x), b.real(other), axis=axis + 1)
    shape = tuple(2 * n if i == axis else n for i, n in enumerate(x.shape))
    return b.at(y, shape, x.scale, x.zero, x.dtype)


def max_pool(b: Build, x: Codes) -> Made:
    window = _pool_window(b, x, dilate=True)
    if window is None:
        return None
    sizes = window.pop("sizes")
    return moved(b, x, b.net.node("MaxPool", b.real(x), **window), (x.channels, *sizes))


def average_pool(b: Build, x: Codes) -> Made:
    window = _pool_window(b, x, dilate=False)
    if window is None:
        return None
    sizes = window.pop("sizes")
    y = b.net.node("AveragePool", b.real(x), count_include_pad=b.whole(0, 1), **window)
    return b.quantised(y, (x.channels, *sizes), x.spread, x.dtype)


def global_pool(b: Build, x: Codes) -> Made:
    if not x.image:
        return None
    op = b.pick(("GlobalAveragePool", "GlobalMaxPool"))
    y = b.net.node(op, b.real(x))
    if op == "GlobalMaxPool":
        return moved(b, x, y, (x.channels, 1, 1))
    return b.quantised(y, (x.channels, 1, 1), x.spread, x.dtype)


UNARY: dict[str, dict[str, float]] = {
    "Sigmoid": {}, "Tanh": {}, "HardSwish": {}, "Gelu": {}, "LeakyRelu": {"alpha": 0.1},
    "Elu": {"alpha": 0.8}, "HardSigmoid": {"alpha": 0.2, "beta": 0.5}, "Relu": {},
}  # fmt: skip


def unary(b: Build, x: Codes) -> Made:
    op = b.pick(list(UNARY))
    y = b.net.node(op, b.real(x), **UNARY[op])
    small = op in ("Sigmoid", "Tanh", "HardSigmoid")
    return b.quantised(y, x.shape, 0.5 if small else x.spread, x.dtype)


def prelu(b: Build, x: Codes) -> Made:
    if not x.image:
        return None
    slopes = b.rng.uniform(-0.5, 1.5, (x.channels, 1, 1))
    y = b.net.node("PRelu", b.real(x), b.net.constant(slopes, "float32"))
    return b.quantised(y, x.shape, x.spread, x.dtype)


def flatten(b: Build, x: Codes) -> Made:
    if not x.image:
        return None
    n = int(np.prod(x.shape))
    if b.rng.random() < 0.5:
        return moved(b, x, b.net.node("Flatten", b.real(x)), (n,))
    shape = b.net.constant([1, n], "int64")
    return moved(b, x, b.net.node("Reshape", b.real(x), shape), (n,))


LAYERS: dict[str, Callable[..., Made]] = {
    f.__name__: f
    for f in (
        *(conv, grouped, depthwise, conv_transpose, gemm, add, by_constant, batch_norm, concat),
        *(max_pool, average_pool, *random_moves.KINDS, concat_along),
        *(global_pool, unary, prelu, flatten, product, difference, gated),
    )
}
"""One function per kind; with two parameters behind the build it reads two tensors."""

TWO = ("add", "concat", "concat_along", "product", "difference")
IN_PARTS = ("concat", "sliced")
MOVES = ("sliced", "padded", "framed", "concat_along", "turned", "gathered", "swapped")
"""Of these many in a row: what one cuts the next one fills."""
OFTEN = ("conv", "conv", "depthwise", "gemm", "add", "concat")
