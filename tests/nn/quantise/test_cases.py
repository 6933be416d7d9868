"""Float networks on which quantisation once was wrong: small ones of our own, and a folder's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.host import reference_model
from weft.nn.ir.ops.conv import Conv
from weft.nn.onnx.importer import import_model
from weft.nn.quantise.losses import losses
from weft.nn.quantise.static import quantise

CASES = (
    "01-clip-without-zero", "02-clamped-graph-output", "04-gemm-beta", "05-gemm-bias-row",
    "05c-gemm-bias-scalar", "06-shared-bias-tensor-b0", "07-ends-in-hardswish", "08-tied-weights",
    "13-constant-named-input_scale", "13-control-other-name", "13c-node-named-x_QuantizeLinear",
)  # fmt: skip


def steps_off(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest error, in 255ths of the range with 0 in it."""
    reach = max(wanted.max(), 0) - min(wanted.min(), 0)
    return float(np.abs(found - wanted).max() / (reach / 255))


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str, case_file: Callable[[str], Path], tmp_path: Path) -> None:
    inputs = dict(np.load(case_file(f"{name}.npz")))
    quantise(case_file(f"{name}.onnx"), inputs, tmp_path / "int8.onnx", "minmax")
    onnx.checker.check_model(onnx.load(tmp_path / "int8.onnx"))
    run_onnx(tmp_path / "int8.onnx", inputs)  # it is a valid file for others, too
    found = reference_model(import_model(tmp_path / "int8.onnx"), inputs)
    with np.load(case_file(f"{name}-expected.npz")) as wanted:
        assert set(found) == set(wanted)
        for output, values in wanted.items():
            assert steps_off(found[output], values) < 3


Build = Callable[[Net, np.random.Generator, str], list[str]]


def _normal(net: Net, rng: np.random.Generator, *shape: int) -> str:
    return net.constant(rng.normal(0, 1, shape), "float32")


def clip_without_zero(net: Net, rng: np.random.Generator, x: str) -> list[str]:
    y = net.node("Gemm", x, _normal(net, rng, 6, 6))
    return [net.node("Clip", y, net.constant(1.0, "float32"), net.constant(3.0, "float32"))]


def clamped_output(net: Net, rng: np.random.Generator, x: str) -> list[str]:
    y = net.node("Gemm", x, _normal(net, rng, 6, 6))
    return [y, net.node("Relu", y), net.node("Gemm", net.node("Clip", y), _normal(net, rng, 6, 6))]


def gemms(net: Net, rng: np.random.Generator, x: str) -> list[str]:
    """One weight in three roles, biases of all shapes, one of them of two Gemms."""
    weight, shared = _normal(net, rng, 6, 6), _normal(net, rng, 6)
    y = net.node("Gemm", x, weight, shared, transB=1, alpha=0.3, beta=4.0)
    made = [y, net.node("Gemm", net.node("Relu", y), weight, shared, beta=-1.5)]
    for shape in ((1, 6), (1, 1), (1,), ()):
        made.append(net.node("Gemm", x, weight, _normal(net, rng, *shape), beta=1.7))
    made.append(net.node("Gemm", x, weight, y, beta=0.7))
    return [*made, net.node("Add", x, net.node("MatMul", x, weight))]


def ends_in_functions(net: Net, rng: np.random.Generator, x: str) -> list[str]:
    y = net.node("Gemm", x, _normal(net, rng, 6, 6))
    gated = net.node("Mul", net.node("Sigmoid", y), y)
    six, one = net.constant(6.0, "float32"), net.constant(1.0, "float32")
    parts = net.node("Clip", net.node("Add", y, net.constant(3.0, "float32")), "", six)
    parts = net.node("Div", net.node("Mul", y, net.node("Relu", parts)), six)
    ends = [net.node("HardSwish", y), gated, parts, net.node("Div", y, six)]
    return [*ends, net.node("Relu", net.node("Sub", y, one)), net.node("Elu", gated)]


def hostile_names(net: Net, rng: np.random.Generator, x: str) -> list[str]:
    """Called as ONNX Runtime's quantiser and weft's own steps call what they add."""
    made = [x]
    suffixes = ("_scale", "_zero_point", "_QuantizeLinear_Output", "_QuantizeLinear_Input")
    for index, name in enumerate((*suffixes, "_DequantizeLinear_Output", "_quantized", "_inner")):
        constants = [f"{made[-1]}{s}" for s in ("_quantized_scale", "_ReduceMin")]
        net.constants[constants[0]] = rng.normal(0, 1, (6, 6)).astype(np.float32)
        net.constants[constants[1]] = rng.normal(0, 1, 6).astype(np.float32)
        label = f"{made[-1]}_QuantizeLinear" if index % 2 else ""
        made.append(("t0", "q0", "b0", "t3", "weft", "größe", "x" * 3000)[index] + name)
        node = onnx.helper.make_node("Gemm", [made[-2], *constants], [made[-1]], name=label)
        net.nodes.append(node)
    return made[1::3]


@pytest.mark.parametrize(
    "build", [clip_without_zero, clamped_output, gemms, ends_in_functions, hostile_names]
)
@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_kinds(build: Build, method: str, tmp_path: Path) -> None:
    rng, net = np.random.default_rng(1), Net(opset=14)
    x = net.input("x", ("n", 6), "float32")
    outputs = build(net, rng, x)
    for name in outputs:
        net.output(name, 2, "float32")
    model, target = net.save(tmp_path), tmp_path / "int8.onnx"
    inputs = {"x": rng.normal(0, 1, (64, 6)).astype(np.float32)}
    quantise(model, inputs, target, method)
    graph = import_model(target)
    assert [edge.name for edge in graph.outputs] == outputs
    found = reference_model(graph, inputs)
    for name, wanted in zip(outputs, run_onnx(model, inputs), strict=True):
        error = np.sqrt(np.mean((found[name] - wanted) ** 2)) / np.std(wanted)
        assert error < 0.05, name
    for loss in losses(model, target, graph, inputs):
        assert loss.snr_db is not None
        assert loss.snr_db > 26


def test_names_are_kept(tmp_path: Path) -> None:
    """Nodes and tensors of the model are called what they were; nodes without a name have none."""
    net, rng = Net(), np.random.default_rng(1)
    y = net.node("Gemm", net.input("x", ("n", 6), "float32"), _normal(net, rng, 6, 6))
    net.output(net.node("Sigmoid", net.node("Relu", y)), 2, "float32")
    net.nodes[1].name = ""
    inputs = {"x": rng.normal(0, 1, (8, 6)).astype(np.float32)}
    quantise(net.save(tmp_path), inputs, tmp_path / "int8.onnx", "minmax")
    graph = onnx.load(tmp_path / "int8.onnx").graph
    nodes = [item for item in graph.node if not item.op_type.endswith("Linear")]
    assert [(item.op_type, item.name) for item in nodes] == [
        ("Gemm", "gemm0"), ("Relu", ""), ("Sigmoid", "sigmoid2"),
    ]  # fmt: skip
    assert nodes[0].output[0] == "gemm0"
    assert nodes[1].output[0] == "relu1"


def test_a_graph_that_computes_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the importer makes of the quantised file is compared with it, too."""
    net, rng = Net(), np.random.default_rng(1)
    y = net.node("Gemm", net.input("x", ("n", 6), "float32"), _normal(net, rng, 6, 6))
    net.output(y, 2, "float32")
    model, target = net.save(tmp_path), tmp_path / "int8.onnx"
    inputs = {"x": rng.normal(0, 1, (8, 6)).astype(np.float32)}
    quantise(model, inputs, target, "minmax")
    graph = import_model(target)
    (operator,) = graph.operators
    assert isinstance(operator, Conv)
    wrong = graph.replace(operators=(operator.replace(bias=operator.bias + 9000),))
    with pytest.raises(ModelError) as error:
        losses(model, target, wrong, inputs)
    start = f"{model}: output 'gemm0' of weft's integers would be off by "
    assert str(error.value).startswith(start)
