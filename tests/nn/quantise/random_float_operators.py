"""The operators of random float networks: each a function from a tensor to those it makes."""

from collections.abc import Callable

import numpy as np

from tests.nn.quantise.random_float import Maker

Operator = Callable[[Maker, str], list[str]]
INF = float("inf")


def _out(size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> int:
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def conv(m: Maker, x: str) -> list[str]:
    c, h, w = m.shapes[x]
    group = m.pick([1, 1, 1, c, *[g for g in (2, 3) if c % g == 0]])
    out = group * m.between(1, max(1, 6 // group))
    kernel = [m.between(1, min(3, size)) for size in (h, w)]
    dilations = [
        m.pick([1, 1, 2]) if 2 * k - 1 <= s else 1 for k, s in zip(kernel, (h, w), strict=True)
    ]
    strides = [m.pick([1, 1, 2]) for _ in kernel]
    pads = [m.between(0, k - 1) for k in kernel * 2]
    sizes = [
        _out(s, k, t, pads[i], pads[i + 2], d)
        for i, (s, k, t, d) in enumerate(zip((h, w), kernel, strides, dilations, strict=True))
    ]
    inputs = [x, m.weights(out, c // group, *kernel)]
    if m.chance(0.6):
        inputs.append(m.vector(out))
    attributes = {"group": group, "strides": strides, "pads": pads, "dilations": dilations}
    if kernel == [1, 1] and m.chance(0.5):
        attributes = {"strides": strides, "group": group}
    return [m.node("Conv", inputs, (out, *sizes), kernel_shape=kernel, **attributes)]


def conv_transpose(m: Maker, x: str) -> list[str]:
    c, h, w = m.shapes[x]
    if h * w > 200:
        return conv(m, x)
    group = m.pick([1, 1, *[g for g in (2, c) if c % g == 0]])
    out = m.between(1, 4)
    kernel, strides = ([m.between(1, 3) for _ in range(2)] for _ in range(2))
    sizes = [(s - 1) * t + k for s, t, k in zip((h, w), strides, kernel, strict=True)]
    inputs = [x, m.weights(c, out, *kernel)]
    if m.chance(0.6):
        inputs.append(m.vector(out * group))
    shape = (out * group, *sizes)
    return [
        m.node("ConvTranspose", inputs, shape, strides=strides, group=group, kernel_shape=kernel)
    ]


def gemm(m: Maker, x: str) -> list[str]:
    (size,) = m.shapes[x]
    out = m.pick([size, m.between(1, 12)])
    turned = m.chance(0.5)
    attributes: dict[str, object] = {"transB": 1} if turned else {}
    for name in ("alpha", "beta"):
        if m.chance(0.4):
            attributes[name] = float(
                m.pick([0.5, 4.0, 0.3, -1.0, 1.7, 0.0 if name == "beta" else 2])
            )
    inputs = [x, m.weights(*((out, size) if turned else (size, out)))]
    bias = m.pick([None, (out,), (1, out), (1, 1), (), (1,)])
    if bias is not None:
        inputs.append(m.constant(m.rng.uniform(-1, 1, bias)))
    return [m.node("Gemm", inputs, (out,), **attributes)]


def matmul(m: Maker, x: str) -> list[str]:
    (size,) = m.shapes[x]
    out = m.between(1, 12)
    y = m.node("MatMul", [x, m.weights(size, out)], (out,))
    if m.chance(0.5):
        return [y]
    bias = m.constant(m.rng.uniform(-1, 1, m.pick([(out,), (1, out), (1,), ()])))
    both = [y, bias] if m.chance(0.5) else [bias, y]
    return [m.node("Add", both, (out,)), *([y] if m.chance(0.1) else [])]


def batch_norm(m: Maker, x: str) -> list[str]:
    size = m.shapes[x][0]
    parts = [
        m.vector(size, 0.2, 1.5),
        m.vector(size),
        m.vector(size),
        m.constant(m.rng.uniform(0.2, 2, size), share=False),
    ]
    return [m.node("BatchNormalization", [x, *parts], m.shapes[x])]


def clip(m: Maker, x: str) -> list[str]:
    low, high = sorted(m.rng.choice([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0, 6.0], 2, replace=False))
    bounds = [m.constant(value, share=False) for value in (low, high)]
    inputs = m.pick([[x], [x, bounds[0]], [x, "", bounds[1]], [x, *bounds], [x, *bounds]])
    return [m.node("Clip", inputs, m.shapes[x])]


def prelu(m: Maker, x: str) -> list[str]:
    shape = m.shapes[x]
    slope = m.pick([(1,), (shape[0], *[1] * (len(shape) - 1))])
    return [m.node("PRelu", [x, m.constant(m.rng.uniform(-0.3, 0.5, slope))], shape)]


def unary(op: str, opset: int = 11, **attributes: float) -> Operator:
    def make(m: Maker, x: str) -> list[str]:
        if m.opset < opset:
            return [m.node("Relu", [x], m.shapes[x])]
        given = {k: v for k, v in attributes.items() if m.chance(0.5)}
        return [m.node(op, [x], m.shapes[x], **given)]

    return make


def silu(m: Maker, x: str) -> list[str]:
    y = m.node(m.pick(["Sigmoid", "HardSigmoid", "Tanh"]), [x], m.shapes[x])
    both = [x, y] if m.chance(0.5) else [y, x]
    return [m.node("Mul", both, m.shapes[x]), *([y] if m.chance(0.1) else [])]


def hard_swish_parts(m: Maker, x: str) -> list[str]:
    shape = m.shapes[x]
    y = m.node("Add", [x, m.constant(3.0, share=False)], shape)
    y = m.node("Clip", [y, m.constant(0.0, share=False), m.constant(6.0, share=False)], shape)
    y = m.node("Mul", [x, y], shape)
    return [m.node("Div", [y, m.constant(6.0, share=False)], shape)]


def gelu_parts(m: Maker, x: str) -> list[str]:
    shape = m.shapes[x]
    y = m.node("Div", [x, m.constant(np.sqrt(2), share=False)], shape)
    y = m.node("Add", [m.node("Erf", [y], shape), m.constant(1.0, share=False)], shape)
    return [m.node("Mul", [m.node("Mul", [x, y], shape), m.constant(0.5, share=False)], shape)]


def by_constant(m: Maker, x: str) -> list[str]:
    shape = m.shapes[x]
    op = m.pick(["Add", "Sub", "Mul", "Div"])
    of = m.pick(
        [(), (1,), (shape[0], *[1] * (len(shape) - 1)), (1, shape[0], *[1] * (len(shape) - 1))]
    )
    value = m.rng.uniform(0.3, 2, of) * m.rng.choice([-1, 1], of)
    constant = m.constant(value, share=op != "Div")
    both = [constant, x] if op != "Div" and m.chance(0.4) else [x, constant]
    return [m.node(op, both, shape)]


def concat(m: Maker, x: str) -> list[str]:
    c, *rest = m.shapes[x]
    y = m.pick([t for t, s in m.shapes.items() if list(s[1:]) == rest and len(s) == 1 + len(rest)])
    return [m.node("Concat", [x, y], (c + m.shapes[y][0], *rest), axis=1)]


def slice_(m: Maker, x: str) -> list[str]:
    c, h, w = m.shapes[x]
    axis, size = m.pick([(1, c), (2, h), (3, w)])
    if size < 2:
        return [m.node("Relu", [x], m.shapes[x])]
    start = m.between(0, size - 2)
    stop = m.between(start + 1, size)
    parts = [m.constant([v], "int64") for v in (start, stop, axis)]
    shape = [c, h, w]
    shape[axis - 1] = stop - start
    return [m.node("Slice", [x, *parts], tuple(shape))]


def pad(m: Maker, x: str) -> list[str]:
    c, h, w = m.shapes[x]
    top, left, bottom, right = (m.between(0, 2) for _ in range(4))
    inputs = [x, m.constant([0, 0, top, left, 0, 0, bottom, right], "int64")]
    if m.chance(0.5):
        inputs.append(m.constant(m.pick([0.0, 0.7, -1.0]), share=False))
    shape = (c, h + top + bottom, w + left + right)
    return [m.node("Pad", inputs, shape, mode=m.pick(["constant", "constant", "edge"]))]


def split(m: Maker, x: str) -> list[str]:
    c, h, w = m.shapes[x]
    if c < 2:
        return [m.node("Relu", [x], m.shapes[x])]
    parts = [m.between(1, c - 1)]
    parts.append(c - parts[0])
    shapes = [(part, h, w) for part in parts]
    if m.opset < 13:
        return m.split("Split", [x], shapes, axis=1, split=parts)
    return m.split("Split", [x, m.constant(parts, "int64")], shapes, axis=1)


def resize(m: Maker, x: str) -> list[str]:
    c, h, w = m.shapes[x]
    if h * w > 150:
        return pool(m, x)
    roi = m.constant(np.zeros(0), share=False) if m.opset < 13 else ""
    scales = m.constant([1, 1, 2, m.pick([1, 2])], share=False)
    wide = w * int(m.constants[scales][3])
    attributes = {"mode": "nearest", "nearest_mode": "floor"}
    if m.chance(0.3):
        attributes = {"mode": "linear"}
    attributes["coordinate_transformation_mode"] = "asymmetric" if m.chance(0.5) else "half_pixel"
    return [m.node("Resize", [x, roi, scales], (c, 2 * h, wide), **attributes)]


def pool(m: Maker, x: str) -> list[str]:
    c, h, w = m.shapes[x]
    kernel = [m.between(1, min(3, size)) for size in (h, w)]
    strides = [m.between(1, 2) for _ in kernel]
    pads = [m.between(0, k - 1) for k in kernel * 2]
    sizes = [
        _out(s, k, t, pads[i], pads[i + 2])
        for i, (s, k, t) in enumerate(zip((h, w), kernel, strides, strict=True))
    ]
    attributes: dict[str, object] = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    op = m.pick(["MaxPool", "AveragePool"])
    if op == "AveragePool" and m.chance(0.5):
        attributes["count_include_pad"] = 1
    return [m.node(op, [x], (c, *sizes), **attributes)]


def global_pool(m: Maker, x: str) -> list[str]:
    c = m.shapes[x][0]
    op = m.pick(["GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool"])
    y = m.node(op, [x], (c, 1, 1))
    return [y, *flatten(m, y)] if m.chance(0.7) else [y]


def flatten(m: Maker, x: str) -> list[str]:
    size = int(np.prod(m.shapes[x]))
    if m.chance(0.5):
        return [m.node("Flatten", [x], (size,))]
    return [m.node("Reshape", [x, m.constant([-1, size], "int64")], (size,))]


def transpose(m: Maker, x: str) -> list[str]:
    c, h, w = m.shapes[x]
    return [m.node("Transpose", [x], (c, w, h), perm=[0, 1, 3, 2])]


def join(m: Maker, x: str, y: str) -> list[str]:
    """An operation of two tensors of one shape."""
    m.kinds.append("two")
    shape = m.shapes[x]
    if m.chance(0.3):
        return [m.node("Concat", [x, y], (2 * shape[0], *shape[1:]), axis=1)]
    return [m.node(m.pick(["Add", "Add", "Sub", "Mul", "Sum"]), [x, y], shape)]


ANY: dict[str, Operator] = {
    "relu": unary("Relu"),
    "clip": clip,
    "leaky_relu": unary("LeakyRelu", alpha=0.2),
    "prelu": prelu,
    "hard_swish": unary("HardSwish", 14),
    "hard_sigmoid": unary("HardSigmoid", alpha=0.3, beta=0.4),
    "sigmoid": unary("Sigmoid"),
    "tanh": unary("Tanh"),
    "silu": silu,
    "hard_swish_parts": hard_swish_parts,
    "gelu": unary("Gelu", 20),
    "gelu_parts": gelu_parts,
    "elu": unary("Elu", alpha=0.7),
    "softplus": unary("Softplus"),
    "by_constant": by_constant,
    "by_constant_too": by_constant,
    "batch_norm": batch_norm,
    "concat": concat,
    "identity": unary("Identity"),
}
FLAT: dict[str, Operator] = ANY | {"gemm": gemm, "gemm_too": gemm, "gemm_3": gemm, "matmul": matmul}
IMAGE: dict[str, Operator] = ANY | {
    "conv": conv,
    "conv_too": conv,
    "conv_3": conv,
    "conv_transpose": conv_transpose,
    "slice": slice_,
    "pad": pad,
    "split": split,
    "resize": resize,
    "pool": pool,
    "global_pool": global_pool,
    "flatten": flatten,
    "transpose": transpose,
}
