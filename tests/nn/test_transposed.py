"""ConvTranspose: equal to ONNX Runtime, which computes it in float, but where a note says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

WAYS = ("pads", "plain", "output_shape", "SAME_UPPER", "SAME_LOWER", "VALID", "both")


def way_of(
    name: str, rng: np.random.Generator, full: list[int], strides: list[int]
) -> dict[str, Any]:
    """Attributes that give the output its size; ``full`` is that without any."""
    match name:
        case "pads":
            pads = [int(rng.integers(0, n // 2 + 1)) for n in full]
            ends = [int(rng.integers(0, n - p)) for n, p in zip(full, pads, strict=True)]
            extra = [int(rng.integers(0, s)) for s in strides]
            return {"pads": pads + ends, "output_padding": extra}
        case "plain":
            return {}
        case "output_shape":
            return {"output_shape": [int(rng.integers(max(n - 2, 1), n + 1)) for n in full]}
        case "both":
            shape = [int(rng.integers(max(n - 2, 1), n + 1)) for n in full]
            return {"output_shape": shape, "auto_pad": "SAME_UPPER"}
        case _:
            return {"auto_pad": name}


def network(way: str, seed: int) -> tuple[Net, tuple[int, ...], str]:
    """Any number of groups, weights per tensor or per channel, with a bias or without."""
    rng, net = np.random.default_rng([WAYS.index(way), seed]), Net()
    rank = int(rng.integers(1, 3))
    groups, per_in, per_out = (int(n) for n in rng.integers(1, 5, 3))
    if rng.random() < 0.3:
        per_in = per_out = 1
    sizes, kernel = ([int(n) for n in rng.integers(1, 7, rank)] for _ in range(2))
    strides = [int(n) for n in rng.integers(1, 5, rank)]
    dilations = [int(n) for n in rng.choice([1, 1, 2, 3], rank)]
    full = [
        s * (n - 1) + d * (k - 1) + 1
        for s, n, d, k in zip(strides, sizes, dilations, kernel, strict=True)
    ]
    dtype = str(rng.choice(["int8", "uint8"]))
    shape = (1, groups * per_in, *sizes)
    x = net.dq(net.input("x", shape, dtype), 0.0517, 7, dtype)
    codes = net.constant(rng.integers(-127, 128, (groups * per_in, per_out, *kernel)), "int8")
    scale = rng.uniform(0.002, 0.01, per_out).astype(np.float32)
    by_channel = rng.random() < 0.5
    weight = net.dq(codes, 0.0073, 0)
    if by_channel:
        weight = net.dq(codes, scale, np.zeros(per_out), axis=1)
    operands = [x, weight]
    match int(rng.integers(3)):
        case 1:
            bias = net.constant(rng.integers(-2000, 2000, groups * per_out), "int32")
            operands.append(net.dq(bias, np.float32(0.0517) * np.float32(0.0073), 0, "int32"))
        case 2:
            operands.append(net.constant(rng.normal(0, 0.3, groups * per_out), "float32"))
    attributes = way_of(way, rng, full, strides)
    y = net.node(
        "ConvTranspose", *operands, strides=strides, dilations=dilations, group=groups, **attributes
    )
    y = net.node("Relu", y) if rng.random() < 0.3 else y
    net.output(net.q(y, 0.0291, 5, dtype), rank + 2, dtype)
    return net, shape, dtype


@pytest.mark.parametrize("way", WAYS)
def test_equals_onnx_runtime(way: str, tmp_path: Path) -> None:
    """A bias at another scale than the sums' is noted, and may make a step fall beside."""
    exact = 0
    for seed in range(30):
        net, shape, dtype = network(way, seed)
        path = net.save(tmp_path)
        info = np.iinfo(dtype)
        x = np.random.default_rng(seed).integers(info.min, info.max + 1, (3, *shape[1:]))
        x = x.astype(dtype)
        (wanted,) = run_onnx(path, {"x": x})
        graph = import_model(path)
        (found,) = reference_model(graph, {"x": x}).values()
        assert found.shape == wanted.shape
        assert np.abs(found.astype(int) - wanted).max() <= bool(graph.notes)
        exact += not graph.notes
    assert exact >= 5


def test_weights_per_input_channel_where_each_has_outputs_of_its_own(tmp_path: Path) -> None:
    rng, net, channels = np.random.default_rng(0), Net(), 5
    x = net.dq(net.input("x", (1, channels, 4, 3)), 0.0517, 7)
    codes = net.constant(rng.integers(-127, 128, (channels, 2, 3, 3)), "int8")
    scale = rng.uniform(0.002, 0.01, channels)
    weight = net.dq(codes, scale, np.zeros(channels), axis=0)
    y = net.node("ConvTranspose", x, weight, strides=[2, 2], group=channels)
    net.output(net.q(y, 0.0291, 5), 4)
    path = net.save(tmp_path)
    x = rng.integers(-128, 128, (3, channels, 4, 3)).astype(np.int8)
    (found,) = reference_model(import_model(path), {"x": x}).values()
    np.testing.assert_array_equal(found, run_onnx(path, {"x": x})[0])


REFUSED: dict[str, tuple[dict[str, Any], tuple[int, ...], str]] = {
    "channels": (
        {"group": 2},
        (3, 2, 3, 3),
        "4 input channels, 2 groups and weights of shape [3, 2, 3, 3] do not fit together",
    ),
    "dimensions": (
        {},
        (4, 2, 3),
        "input of shape [1, 4, 5, 6] and weights of shape [4, 2, 3]; 1-D and 2-D transposed "
        "convolutions are supported",
    ),
    "kernel": (
        {"kernel_shape": [2, 2]},
        (4, 2, 3, 3),
        "attribute 'kernel_shape' is [2, 2] but the weights have shape [4, 2, 3, 3]",
    ),
    "pads": (
        {"pads": [1, 1]},
        (4, 2, 3, 3),
        "attribute 'pads' is [1, 1]; 4 numbers of 0 or more are needed",
    ),
    "nothing left": (
        {"pads": [4, 0, 4, 0]},
        (4, 2, 3, 3),
        "an output of [-1, 8] (height, width); 1 to 65536 is supported",
    ),
    "padding": (
        {"output_padding": [-1, 0]},
        (4, 2, 3, 3),
        "attribute 'output_padding' is [-1, 0]; 2 numbers of 0 or more are needed",
    ),
    "auto_pad": (
        {"auto_pad": "ODD"},
        (4, 2, 3, 3),
        "attribute 'auto_pad' is 'ODD'; NOTSET, SAME_UPPER, SAME_LOWER and VALID are supported",
    ),
    "output_shape": (
        {"output_shape": [7]},
        (4, 2, 3, 3),
        "attribute 'output_shape' is [7]; 2 numbers are needed",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    attributes, shape, text = REFUSED[case]
    net = Net()
    x = net.dq(net.input("x", (1, 4, 5, 6)), 0.1, 3)
    weight = net.dq(net.constant(np.ones(shape), "int8"), 0.01, 0)
    net.output(net.q(net.node("ConvTranspose", x, weight, **attributes), 0.1, 3), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == f"node 'convtranspose2' (ConvTranspose): {text}"


def test_scales_of_input_channels_are_refused(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", (1, 4, 5, 6)), 0.1, 3)
    weight = net.constant(np.ones((4, 2, 3, 3)), "int8")
    weight = net.dq(weight, np.full(4, 0.01), np.zeros(4), axis=0)
    net.output(net.q(net.node("ConvTranspose", x, weight), 0.1, 3), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == (
        "node 'convtranspose2' (ConvTranspose): weight 'dequantizelinear1' is quantised along "
        "another axis than its output channels (axis 1)"
    )
