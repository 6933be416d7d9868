"""Small quantised networks to compress, and layers of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.nn.qdq_builder import Net
from weft.nn.compress.layers import Layer

SCALE, BIAS_SCALE = 0.02, 0.02


def layer(*shape: int, groups: int = 1) -> Layer:
    """A convolution with random weights of a shape."""
    weight = np.random.default_rng(0).normal(size=shape)
    return Layer(
        name="conv",
        op="Conv",
        source="x",
        weight=weight,
        bias=np.zeros(shape[0]),
        groups=groups,
        one_dimensional=False,
        transposed=False,
    )


def constant(net: Net, rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> str:
    """Random weights, one scale for each place along an axis."""
    codes = net.constant(rng.integers(-127, 128, shape), "int8")
    scale = rng.uniform(0.005, 0.02, shape[axis])
    return net.dq(codes, scale, np.zeros(shape[axis]), axis=axis)


def requantised(net: Net, value: str, scale: float = SCALE, zero: int = -5) -> str:
    """Between QuantizeLinear and DequantizeLinear."""
    return net.dq(net.q(value, scale, zero), scale, zero)


def begin(net: Net, *shape: int) -> str:
    """A float input, quantised."""
    return requantised(net, net.input("x", ["n", *shape], "float32"))


def end(net: Net, value: str, rank: int = 2) -> None:
    """A quantised result, dequantised."""
    net.output(requantised(net, value, 0.5, 0), rank, "float32")


def conv_net(net: Net, rng: np.random.Generator) -> None:
    """Two convolutions, the second with groups, and a Gemm of either orientation."""
    x = begin(net, 4, 6, 6)
    y = net.node("Conv", x, constant(net, rng, (8, 4, 3, 3), 0), pads=[1, 1, 1, 1])
    y = requantised(net, net.node("Relu", y), 0.05, -128)
    y = net.node("Conv", y, constant(net, rng, (6, 4, 3, 3), 0), group=2, strides=[2, 2])
    y = requantised(net, y, 0.1)
    bias = net.constant(rng.normal(size=8), "float32")
    y = net.node("Gemm", net.node("Flatten", y), constant(net, rng, (24, 8), 1), bias)
    y = requantised(net, y, 0.2)
    end(net, net.node("Gemm", y, constant(net, rng, (5, 8), 0), transB=1))


def matmul_net(net: Net, rng: np.random.Generator) -> None:
    """A MatMul with an Add behind it, and one without."""
    y = net.node("MatMul", begin(net, 12), constant(net, rng, (12, 10), 1))
    bias = net.constant(rng.integers(-9000, 9000, 10), "int32")
    added = net.node("Add", y, net.dq(bias, 0.0002, 0, "int32"))
    y = requantised(net, net.node("Relu", added), 0.05, -128)
    end(net, net.node("MatMul", y, constant(net, rng, (10, 6), 1)))


def line_net(net: Net, rng: np.random.Generator) -> None:
    """A convolution over [n, C, W], and a depthwise one."""
    y = net.node("Conv", begin(net, 4, 16), constant(net, rng, (8, 4, 5), 0), pads=[2, 2])
    y = requantised(net, y, 0.1)
    end(net, net.node("Conv", y, constant(net, rng, (8, 1, 3), 0), group=8), 3)


Build = Callable[[Net, np.random.Generator], None]
SHAPES: dict[Build, tuple[int, ...]] = {
    conv_net: (4, 6, 6),
    matmul_net: (12,),
    line_net: (4, 16),
}


def made(build: Build, folder: Path) -> tuple[Path, np.ndarray]:
    """The network's file, and 64 samples of its input."""
    rng = np.random.default_rng(5)
    net = Net()
    build(net, rng)
    samples = rng.normal(size=(64, *SHAPES[build])).astype(np.float32)
    return net.save(folder), samples
