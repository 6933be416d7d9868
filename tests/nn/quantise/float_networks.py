"""Float networks to quantise: one small one for each kind of operator."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.nn.qdq_builder import Net

Build = Callable[[Net, np.random.Generator, str], str]


def weights(net: Net, rng: np.random.Generator, *shape: int) -> str:
    """He's initialisation, each output channel at a size of its own."""
    values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    sizes = rng.uniform(0.5, 2, (shape[0], *[1] * (len(shape) - 1)))
    return net.constant(values * sizes, "float32")


def vector(net: Net, rng: np.random.Generator, size: int, low: float, high: float) -> str:
    return net.constant(rng.uniform(low, high, size), "float32")


def conv(net: Net, rng: np.random.Generator, x: str, *shape: int, **attributes: object) -> str:
    bias = vector(net, rng, shape[0], -0.5, 0.5)
    return net.node("Conv", x, weights(net, rng, *shape), bias, **attributes)


def batch_norm(net: Net, rng: np.random.Generator, x: str, size: int) -> str:
    parts = [vector(net, rng, size, 0.5, 1.5) for _ in range(4)]
    return net.node("BatchNormalization", x, *parts)


def head(net: Net, rng: np.random.Generator, x: str, size: int) -> str:
    pooled = net.node("Flatten", net.node("GlobalAveragePool", x))
    matrix = net.constant(rng.normal(0, 1, (size, 10)), "float32")
    return net.node("Gemm", pooled, matrix, vector(net, rng, 10, -1, 1))


def conv_bn_relu(net: Net, rng: np.random.Generator, x: str) -> str:
    y = net.node("Relu", batch_norm(net, rng, conv(net, rng, x, 8, 3, 3, 3), 8))
    return head(net, rng, y, 8)


def depthwise(net: Net, rng: np.random.Generator, x: str) -> str:
    y = net.node("Relu", conv(net, rng, x, 8, 3, 1, 1))
    y = batch_norm(net, rng, conv(net, rng, y, 8, 1, 3, 3, group=8, strides=[2, 2]), 8)
    y = net.node("Clip", y, net.constant(0.0, "float32"), net.constant(6.0, "float32"))
    return head(net, rng, conv(net, rng, y, 12, 8, 1, 1), 12)


def residual(net: Net, rng: np.random.Generator, x: str) -> str:
    y = net.node("Relu", conv(net, rng, x, 8, 3, 1, 1))
    z = net.node("Relu", conv(net, rng, y, 8, 8, 3, 3, pads=[1, 1, 1, 1]))
    z = conv(net, rng, z, 8, 8, 3, 3, pads=[1, 1, 1, 1])
    return head(net, rng, net.node("Relu", net.node("Add", y, z)), 8)


def pools(net: Net, rng: np.random.Generator, x: str) -> str:
    y = net.node("MaxPool", x, kernel_shape=[2, 2])
    y = net.node("AveragePool", conv(net, rng, y, 8, 3, 1, 1), kernel_shape=[3, 3])
    y = conv(net, rng, y, 8, 8, 1, 1)
    return net.node("Flatten", net.node("GlobalMaxPool", y))


def concat(net: Net, rng: np.random.Generator, x: str) -> str:
    y = net.node("Relu", conv(net, rng, x, 4, 3, 1, 1))
    z = net.node("Tanh", conv(net, rng, x, 8, 3, 1, 1))
    return head(net, rng, net.node("Concat", y, z, axis=1), 12)


def dense(net: Net, rng: np.random.Generator, x: str) -> str:
    y = net.node("Flatten", x)
    matrix = net.constant(rng.normal(0, 0.1, (300, 24)), "float32")
    y = net.node("Relu", net.node("Add", net.node("MatMul", y, matrix), vector(net, rng, 24, 0, 1)))
    return net.node("Gemm", y, weights(net, rng, 10, 24), transB=1)


def gated(net: Net, rng: np.random.Generator, x: str) -> str:
    y = conv(net, rng, x, 8, 3, 3, 3)
    y = conv(net, rng, net.node("Mul", y, net.node("Sigmoid", y)), 8, 8, 1, 1)
    y = net.node("HardSwish", y)
    return head(net, rng, conv(net, rng, net.node("LeakyRelu", y), 8, 8, 1, 1), 8)


def excited(net: Net, rng: np.random.Generator, x: str) -> str:
    """Squeeze and excite, a difference and a product."""
    y = net.node("Relu", conv(net, rng, x, 8, 3, 1, 1))
    gate = net.node("Relu", conv(net, rng, net.node("GlobalAveragePool", y), 4, 8, 1, 1))
    gate = net.node("HardSigmoid", conv(net, rng, gate, 8, 4, 1, 1))
    z = conv(net, rng, net.node("Mul", y, gate), 8, 8, 1, 1)
    return head(net, rng, net.node("Mul", net.node("Sub", z, y), y), 8)


def lone_batch_norm(net: Net, rng: np.random.Generator, x: str) -> str:
    y = net.node("Relu", conv(net, rng, x, 8, 3, 1, 1))
    y = net.node("Relu", batch_norm(net, rng, y, 8))
    return head(net, rng, conv(net, rng, y, 8, 8, 1, 1), 8)


def softmax(net: Net, rng: np.random.Generator, x: str) -> str:
    return net.node("Softmax", net.node("Relu", head(net, rng, x, 3)), axis=1)


def normalised(net: Net, rng: np.random.Generator, x: str) -> str:
    """The input's own arithmetic, as frameworks put it into the model."""
    y = net.node("Sub", x, net.constant(np.full((1, 3, 1, 1), 0.45), "float32"))
    y = net.node("Div", y, net.constant(np.full((1, 3, 1, 1), 0.22), "float32"))
    return head(net, rng, net.node("Relu", conv(net, rng, y, 8, 3, 1, 1)), 8)


def clamped_input(net: Net, rng: np.random.Generator, x: str) -> str:
    return head(net, rng, net.node("Relu", x), 3)


def upwards(net: Net, rng: np.random.Generator, x: str) -> str:
    """Smaller and larger again, in all ways that there are, and slopes per channel."""
    y = net.node("PRelu", conv(net, rng, x, 8, 3, 3, 3, strides=[2, 2]), slopes(net, rng, 8))
    kernel = net.constant(rng.normal(0, 0.3, (8, 6, 2, 2)), "float32")
    z = net.node("ConvTranspose", y, kernel, vector(net, rng, 6, -0.5, 0.5), strides=[2, 2])
    z = net.node("Relu", batch_norm(net, rng, z, 6))
    up = net.node("Resize", y, "", net.constant([1, 1, 2, 2], "float32"), mode="nearest")
    both = net.node("Concat", z, up, axis=1)
    part = net.node(
        "Slice", both, *(net.constant(v, "int64") for v in ([1, 7], [7, 1], [2, 3], [1, -1]))
    )
    part = net.node("DepthToSpace", conv(net, rng, part, 12, 14, 1, 1), blocksize=2)
    part = net.node(
        "SpaceToDepth",
        net.node(
            "Pad",
            part,
            net.constant([0, 0, 1, 2, 0, 0, 1, 0], "int64"),
            net.constant(0.3, "float32"),
        ),
        blocksize=2,
    )
    return head(net, rng, conv(net, rng, part, 8, 12, 1, 1), 8)


def slopes(net: Net, rng: np.random.Generator, size: int) -> str:
    return net.constant(rng.uniform(-0.2, 0.4, (size, 1, 1)), "float32")


NETWORKS: list[Build] = [
    upwards,
    normalised,
    clamped_input,
    conv_bn_relu,
    depthwise,
    residual,
    pools,
    concat,
    dense,
    gated,
    excited,
    lone_batch_norm,
    softmax,
]


def made(
    build: Build, folder: Path, opset: int = 17, batch: int | str = "n"
) -> tuple[Path, dict[str, np.ndarray]]:
    """A float network with 3 x 10 x 10 inputs, and samples for it."""
    rng = np.random.default_rng(7)
    net = Net(opset=opset)
    net.output(build(net, rng, net.input("x", (batch, 3, 10, 10), "float32")), 2, "float32")
    return net.save(folder), {"x": rng.normal(0.5, 1, (48, 3, 10, 10)).astype(np.float32)}
