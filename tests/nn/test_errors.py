"""What users see when a model cannot be taken: the exact texts, and no other exception ever."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.nn.qdq_builder import Net
from weft.errors import InternalError, ModelError
from weft.nn.ir.host import reference_model
from weft.nn.ir.note import Note, NoteKind
from weft.nn.onnx.importer import import_model

SAMPLES = np.zeros((8, 4, 3, 3), np.int8)


def message(path: Path) -> str:
    with pytest.raises(ModelError) as error:
        import_model(path)
    return str(error.value)


def net_of(build: Callable[[Net, str], str], shape: Any = ("n", 4, 6, 6)) -> Net:
    """Codes, DQ, what ``build`` makes of it, Q."""
    net = Net()
    y = build(net, net.dq(net.input("x", shape), 0.1, 3))
    net.output(net.q(y, 0.2, 1), 4)
    return net


def weight(net: Net, shape: tuple[int, ...] = (8, 4, 3, 3), dtype: str = "int8") -> str:
    return net.dq(net.constant(np.ones(shape, dtype)), 0.01, 0, dtype)


def conv(net: Net, x: str, **attributes: Any) -> str:
    return net.node("Conv", x, weight(net), **attributes)


def gemm(net: Net, x: str, **attributes: Any) -> str:
    return net.node("Gemm", net.node("Flatten", x), weight(net, (144, 5)), **attributes)


CASES: dict[str, tuple[Callable[[Net, str], str], str]] = {
    "unsupported": (
        lambda net, x: net.node("Sin", x),
        "node 'sin1' (Sin): operator Sin is not supported; replace it by supported operators "
        "(`weft ops` lists what is supported), or end the model in front of it",
    ),
    "dynamic": (
        lambda net, x: net.node("DynamicQuantizeMatMul", x, weight(net), domain="com.microsoft"),
        "node 'dynamicquantizematmul2' (com.microsoft.DynamicQuantizeMatMul): {path} is quantised "
        "dynamically (scales computed at run time); quantise statically, e.g. with "
        "onnxruntime.quantization.quantize_static",
    ),
    "float weight": (
        lambda net, x: net.node("Conv", x, net.constant(np.ones((8, 4, 3, 3)), "float32")),
        "node 'conv1' (Conv): weight 'c2' is not quantised: store it as int8 or uint8 with "
        "DequantizeLinear behind it",
    ),
    "unquantised activation": (
        lambda net, x: net.node("Conv", conv(net, x), weight(net, (8, 8, 1, 1))),
        "node 'conv4' (Conv): input 'conv2' is not quantised: put QuantizeLinear and "
        "DequantizeLinear between node 'conv2' and this one",
    ),
    "int16 weight": (
        lambda net, x: net.node(
            "Conv", x, net.dq(net.constant(np.full((8, 4, 3, 3), 256), "int16"), 0.01, 0, "int16")
        ),
        "node 'conv2' (Conv): weight 'dequantizelinear1' has codes up to 256 from their zero "
        "point; up to 255 (8 bits with a zero point) is supported",
    ),
    "weight type": (
        lambda net, x: net.node(
            "Conv", x, net.dq(net.constant(np.ones(4), "int64"), 1, 0, "int64")
        ),
        "node 'dequantizelinear1' (DequantizeLinear): constant 'c2' has type int64; int2, uint2, "
        "int4, uint4, int8, uint8, int16, uint16, int32 are supported",
    ),
    "int16 activation": (
        lambda net, x: net.q(conv(net, x), 0.1, 0, "int16"),
        "node 'quantizelinear3' (QuantizeLinear): activations of type int16 are not supported; "
        "int8 and uint8 are",
    ),
    "auto_pad": (
        lambda net, x: conv(net, x, auto_pad="SAME"),
        "node 'conv2' (Conv): attribute 'auto_pad' is 'SAME'; NOTSET, SAME_UPPER, SAME_LOWER and "
        "VALID are supported",
    ),
    "pads": (
        lambda net, x: conv(net, x, pads=[-1, 0, 0, 0]),
        "node 'conv2' (Conv): attribute 'pads' is [-1, 0, 0, 0]; 4 numbers of 0 or more are needed",
    ),
    "groups": (
        lambda net, x: conv(net, x, group=2),
        "node 'conv2' (Conv): 4 input channels, 2 groups and weights of shape [8, 4, 3, 3] do not "
        "fit together",
    ),
    "kernel too large": (
        lambda net, x: net.node("MaxPool", x, kernel_shape=[7, 7]),
        "node 'maxpool1' (MaxPool): kernel [7, 7] is larger than the padded image [6, 6]",
    ),
    "transA": (
        lambda net, x: gemm(net, x, transA=1),
        "node 'gemm3' (Gemm): attribute 'transA' = 1 is not supported; 0 is",
    ),
    "alpha": (
        lambda net, x: gemm(net, x, alpha=0.3),
        "node 'gemm3' (Gemm): attribute 'alpha' = 0.3 is not supported; powers of two are: "
        "multiply the constants by it before quantisation",
    ),
    "add of a constant": (
        lambda net, x: net.node("Add", x, net.constant(np.arange(6), "float32")),
        "node 'add1' (Add): constant of shape [6] and activation of shape [1, 4, 6, 6]; one value, "
        "or one per channel, is supported",
    ),
    "add of a constant to an image in a row": (
        lambda net, x: net.node(
            "Add", net.node("Flatten", x), net.constant(np.arange(144), "float32")
        ),
        "node 'add2' (Add): constant of shape [144] and activation of shape [1, 144], an image of "
        "4 channels; one value, or one per channel, is supported",
    ),
    "broadcast": (
        lambda net, x: net.node(
            "Add", x, net.dq(net.q(net.node("GlobalMaxPool", x), 0.1, 3), 0.1, 3)
        ),
        "node 'add4' (Add): inputs of shapes [1, 4, 6, 6] and [1, 4, 1, 1]; broadcasting is not "
        "supported, equal shapes are",
    ),
    "concat": (
        lambda net, x: net.node("Concat", x, x, axis=0),
        "node 'concat1' (Concat): attribute 'axis' = 0 of inputs like [1, 4, 6, 6] is not "
        "supported; the channels, height and width of images are, if all are transposed in one way",
    ),
    "mean over channels": (
        lambda net, x: net.node(
            "ReduceMean", net.dq(net.q(conv(net, x), 0.1, 3), 0.1, 3), axes=[1]
        ),
        "node 'reducemean5' (ReduceMean): mean over axes [1] of [1, 8, 4, 4]; the spatial axes "
        "(from 2 on) are supported",
    ),
    "transpose of the batch": (
        lambda net, x: net.node("Transpose", x, perm=[1, 0, 2, 3]),
        "node 'transpose1' (Transpose): attribute 'perm' [1, 0, 2, 3] moves the batch; perms that "
        "leave it in front are supported",
    ),
    "transpose": (
        lambda net, x: conv(net, net.node("Transpose", net.dq(net.q(conv(net, x), 0.1, 3), 0.1, 3),
                                          perm=[0, 2, 3, 1])),
        "node 'conv7' (Conv): its input is a Transpose that moves elements of the result of node "
        "'conv2'; supported are Transposes that meet their inverse, the model's inputs "
        "and outputs, or a Flatten in front of Gemm or MatMul, and those that exchange height and "
        "width: export in NCHW order",
    ),
    "scale": (
        lambda net, x: net.q(x, -0.1, 0),
        "node 'quantizelinear1' (QuantizeLinear): every scale must be greater than 0 and at most "
        "2**60",
    ),
    "per-channel activation": (
        lambda net, x: net.q(x, [0.1, 0.2], [0, 0], axis=1),
        "node 'quantizelinear1' (QuantizeLinear): an activation with 2 scales; only per-tensor "
        "quantisation of activations is supported (weights may be per channel)",
    ),
    "other parameters": (
        lambda net, x: net.dq(net.q(x, 0.25, 3), 0.5, 3),
        "node 'dequantizelinear2' (DequantizeLinear): scale 0.5 and zero point 3 differ from "
        "those that 'quantizelinear1' was quantised with (0.25, 3); use the same ones",
    ),
    "run-time scale": (
        lambda net, x: net.node("QuantizeLinear", x, net.node("ReduceMean", x, axes=[2, 3])),
        "node 'quantizelinear2' (QuantizeLinear): scale 'reducemean1' is computed at run time; "
        "only constants are supported: quantise statically, e.g. with "
        "onnxruntime.quantization.quantize_static",
    ),
    "reshape in the middle": (
        lambda net, x: net.node(
            "MaxPool",
            net.node("Reshape", net.dq(net.q(conv(net, x), 0.1, 3), 0.1, 3),
                     net.constant([0, 4, 8, -1], "int64")),
            kernel_shape=[2, 2],
        ),
        "Reshape of the result of node 'conv2' from [8, 4, 4] to [4, 8, 4] (channels, height, "
        "width) in front of node 'maxpool6' is not supported; what works: a Reshape next to the "
        "model's "
        "inputs and outputs, and one to a vector in front of Gemm or MatMul",
    ),
    "softmax inside": (
        lambda net, x: net.node("Relu", net.node("Softmax", x)),
        "node 'relu2' (Relu): input 'softmax1' comes from a Softmax or ArgMax, which runs on the "
        "host and must be at the end of the network",
    ),
    "add scale": (
        lambda net, x: net.q(net.node("Add", x, x), 1e-4, 0),
        "node 'add1' (Add): an input's scale is 256 or more times the output's scale; less is "
        "supported",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_texts(tmp_path: Path, case: str) -> None:
    build, text = CASES[case]
    path = net_of(build).save(tmp_path)
    assert message(path) == text.replace("{path}", str(path))


def test_accumulator_beyond_32_bits(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        bias = net.constant(np.full(8, (1 << 31) - 1), "int32")
        b = net.dq(bias, np.float32(0.1) * np.float32(0.01), 0, "int32")
        return net.node("Conv", x, weight(net), b)

    assert message(net_of(build).save(tmp_path)) == (
        "node 'conv3' (Conv): output channel 0 can reach an accumulator of 2147488111, beyond 32 "
        "bits; use fewer inputs per output or smaller weights"
    )


def test_accumulator_beyond_24_bits_is_noted(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        bias = net.constant(np.full(8, 1 << 26), "int32")
        b = net.dq(bias, np.float32(0.1) * np.float32(1e-6), 0, "int32")
        w = net.dq(net.constant(np.ones((8, 4, 3, 3), "int8")), 1e-6, 0)
        return net.node("Conv", x, w, b)

    graph = import_model(net_of(build).save(tmp_path))
    text = "worst-case accumulator 2^26.0 exceeds float32's 24 bits; exact unless reached"
    assert graph.notes == (Note(kind=NoteKind.ACCUMULATOR, text=text, node="conv3"),)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    assert message(path) == f"{path}: cannot be read: No such file or directory"
    path.write_bytes(b"")
    assert message(path) == f"{path}: not an ONNX file, or a damaged one: it holds no nodes"
    path.write_bytes(b"PNG\x00 not a model")
    assert message(path).startswith(f"{path}: not an ONNX file, or a damaged one: ")
    assert message(tmp_path).startswith(f"{tmp_path}: cannot be read: ")


def test_float_model(tmp_path: Path) -> None:
    net = Net()
    net.output(net.node("Relu", net.input("x", ("n", 4), "float32")), 2, "float32")
    path = net.save(tmp_path)
    assert message(path) == (
        f"{path} is a float model: it holds no quantisation; give samples of its inputs with "
        "--calibrate data.npz, or quantise it statically first, e.g. with "
        "onnxruntime.quantization.quantize_static"
    )


def test_attributes_may_be_graphs(tmp_path: Path) -> None:
    """If and Loop hold graphs; they are refused like any other operator."""
    net = net_of(lambda net, x: net.node("Relu", x))
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Constant", [], ["r"], value_float=1.0)],
        "inner",
        [],
        [onnx.helper.make_tensor_value_info("r", onnx.TensorProto.FLOAT, [])],
    )
    net.node("If", net.constant(True, "bool"), then_branch=inner, else_branch=inner)
    net.output(net.nodes[-1].output[0], 0, "float32")
    assert message(net.save(tmp_path)).endswith("end the model in front of it")


def test_graph_edges(tmp_path: Path) -> None:
    free = net_of(conv, ("n", 4, "h", 6)).save(tmp_path)
    assert message(free) == (
        "input 'x' has no fixed size in dimension 2; only the batch may be free: export with "
        "fixed sizes"
    )
    net = Net()
    x = conv(net, net.dq(net.input("x", ("n", 4, 6, 6)), 0.1, 3))
    net.output(net.node("Relu", x), 4, "float32")
    assert message(net.save(tmp_path)) == (
        "output 'relu3' is not quantised: put QuantizeLinear and DequantizeLinear between node "
        "'conv2' and it"
    )
    huge = net_of(conv, ("n", 4, 1 << 40, 1 << 40)).save(tmp_path)
    assert message(huge) == ("input 'x' has the impossible shape [4, 1099511627776, 1099511627776]")


def test_broken_graphs(tmp_path: Path) -> None:
    model = net_of(conv).model()
    path = tmp_path / "net.onnx"

    def text(change: Callable[[onnx.GraphProto], object]) -> str:
        broken = onnx.ModelProto()
        broken.CopyFrom(model)
        change(broken.graph)
        path.write_bytes(broken.SerializeToString())
        return message(path)

    def cycle(graph: onnx.GraphProto) -> None:
        graph.node[0].input[0] = "conv2"

    def rename(graph: onnx.GraphProto) -> None:
        graph.node[2].input[1] = "nowhere"

    def reshape(graph: onnx.GraphProto) -> None:
        graph.initializer[2].dims[0] = 1 << 50

    assert text(cycle) == (
        "node 'dequantizelinear0' (DequantizeLinear) is part of a cycle: it needs its own result"
    )
    assert text(rename) == (
        "node 'conv2' (Conv) reads 'nowhere', which nothing in the model produces"
    )
    assert text(reshape) == "constant 'c2' has the impossible shape [1125899906842624, 4, 3, 3]"


def test_no_other_exception_for_damaged_files(tmp_path: Path) -> None:
    data = net_of(conv).model().SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "net.onnx"
    refused = 0
    for turn in range(400):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 5)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged if turn % 8 else damaged[: rng.integers(0, len(data))])
        try:
            graph = import_model(path)
        except ModelError:
            refused += 1
        else:
            (edge,) = graph.inputs
            reference_model(graph, {edge.name: np.zeros((1, *edge.shape), edge.dtype)})
    assert refused > 100


def test_too_large_an_activation(tmp_path: Path) -> None:
    """Within what a file may hold, but nothing could run it, nor look at it in reasonable time."""
    net = net_of(conv, (1, 4, 1 << 11, 1 << 10))
    assert message(net.save(tmp_path)) == (
        "tensor 'x_codes' has 8,388,608 elements [1, 4, 2048, 1024]; at most 8,388,607 are "
        "supported"
    )


def test_opset_without_quantisation(tmp_path: Path) -> None:
    """Only of quantised models: float ones become newer when they are quantised."""
    net = Net(opset=9)
    x = net.input("x", ("n", 4), "float32")
    scale = [net.constant(value, "float32") for value in (0.1, 0.0, 4.0)]
    y = net.node("Quant", x, *scale, domain="qonnx.custom_op.general")
    net.output(net.node("Relu", y), 2, "float32")
    assert message(net.save(tmp_path)) == (
        "net: opset 9 has no QuantizeLinear; export with opset 13 or later"
    )


def test_a_fault_of_weft_says_what_to_report() -> None:
    error = InternalError("two and two are five")
    assert error.exit_code == 70
    assert str(error) == (
        "two and two are five; this is a fault of weft: please report it with this message, the "
        "command, the model and the board; nothing was written"
    )
