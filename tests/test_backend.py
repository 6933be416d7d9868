"""weft behind ONNX's backend interface: ONNX's own tests of what weft has, and our models."""

import importlib
import re
import runpy
import unittest
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.runner import Runner

import weft.backend
from tests.nn.qdq_builder import Net
from weft.errors import ConfigError, ModelError, ToolError
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

CASES = "onnx.backend.test.case.node"
FILES = (
    "concat", "convinteger", "dequantizelinear", "flatten", "identity", "matmulinteger",
    "qlinearconv", "qlinearmatmul", "quantizelinear", "reshape", "softmax", "squeeze", "transpose",
    "unsqueeze",
)  # fmt: skip
# Tests of supported operators that are refused, and why.
REFUSED = {
    r"e4m3fn|e5m2|float4e2m1": r"type float[48]|type float16",
    r"blocked": r"attribute 'block_size' is not supported",
    r"identity_(sequence|opt)": r"is not a tensor",
}


@cache
def node_tests() -> dict[str, Any]:
    """ONNX's tests of some operators, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in FILES:
            importlib.import_module(f"{CASES}.{name}")
        cases = importlib.import_module(CASES)._NodeTestCases
    modules = tuple(f"test_{name}" for name in FILES)
    return {case.name: case for case in cases if case.name.startswith(modules)}


def as_array(item: Any) -> np.ndarray:
    """An input of a test: types that NumPy lacks come as messages."""
    return numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item


def run(case: Any) -> weft.backend.Prepared:
    """Run a test of ONNX's; raises AssertionError where outputs differ."""
    prepared = weft.backend.prepare(case.model)
    for inputs, wanted in case.data_sets:
        found = prepared.run([as_array(item) for item in inputs])
        wanted = [as_array(item) for item in wanted]
        Runner.assert_similar_outputs(wanted, found, case.rtol, case.atol)
    return prepared


def test_every_test_of_these_operators_passes() -> None:
    """Or is refused for a type that weft does not have; and some run on the reference."""
    where: dict[str, str] = {}
    for name, case in node_tests().items():
        if "_expanded" in name:
            continue  # in operators of other kinds
        reasons = [reason for pattern, reason in REFUSED.items() if re.search(pattern, name)]
        if not reasons:
            where[name] = run(case).where
            continue
        with pytest.raises(ModelError) as error:
            run(case)
        assert re.search(reasons[0], str(error.value)), name
    on = {place: [name for name in where if where[name] == place] for place in where.values()}
    assert len(on["reference"]) == 12
    starts = ("test_convinteger", "test_matmulinteger", "test_qlinear")
    assert all(name.startswith(starts) for name in on["reference"])
    assert sorted(on["host"]) == ["test_dequantizelinear", "test_quantizelinear"]
    assert len(on["folded"]) > 60


@pytest.mark.slow
def test_the_page_is_in_step(root: Path) -> None:
    """The whole score: no test fails, and docs/onnx_backend.md says what is so."""
    script = runpy.run_path(str(root / "bench/onnx_backend.py"))
    result, real = script["score"]()
    assert result.failed == {}
    page = (root / "docs/onnx_backend.md").read_text("utf-8")
    if f"onnx {onnx.__version__} package" in page:
        assert script["page"](result, real) == page


def test_refusals_are_skips(root: Path) -> None:
    scored = runpy.run_path(str(root / "bench/onnx_backend.py"))["Scored"]
    node = helper.make_node("Sin", ["x"], ["y"])
    with pytest.raises(unittest.SkipTest, match=r"^node: not supported: Sin$"):
        scored.run_node(node, [np.zeros(3, np.float32)])
    blocked = node_tests()["test_quantizelinear_blocked_symmetric"]
    prepared = scored.prepare(blocked.model)
    with pytest.raises(unittest.SkipTest, match="block_size"):
        prepared.run(blocked.data_sets[0][0])


@pytest.fixture(scope="module")
def digits(root: Path) -> onnx.ModelProto:
    return onnx.load(root / "examples/digits/digits.onnx")


@pytest.fixture(scope="module")
def images(root: Path) -> np.ndarray:
    with np.load(root / "examples/digits/digits_test.npz") as file:
        return file["image"][:20]


def test_a_network(digits: onnx.ModelProto, images: np.ndarray, root: Path) -> None:
    graph = import_model(root / "examples/digits/digits.onnx")
    (wanted,) = reference_model(graph, {"image": images}).values()
    for inputs in ([images], {"image": images}, images):
        prepared = weft.backend.prepare(digits)
        (found,) = prepared.run(inputs)
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == np.float32
        assert prepared.where == "reference"
    (found,) = weft.backend.run_model(digits, [images])
    np.testing.assert_array_equal(found, wanted)
    assert weft.backend.is_compatible(digits)
    assert weft.backend.supports_device("CPU")
    assert not weft.backend.supports_device("CUDA")


@pytest.mark.slow
def test_on_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    net, rng = Net(), np.random.default_rng(3)
    weight = net.dq(net.constant(rng.integers(-9, 9, (8, 4)), "int8"), 0.1, 0)
    y = net.node("Gemm", net.dq(net.input("x", ("n", 8)), 0.1, 3), weight)
    net.output(net.q(y, 0.2, 1), 2)
    x = rng.integers(-128, 128, (3, 8)).astype(np.int8)
    prepared = weft.backend.prepare(net.model(), board="ulx3s-25f")
    (found,) = prepared.run([x])
    (wanted,) = weft.backend.prepare(net.model()).run([x])
    np.testing.assert_array_equal(found, wanted)

    def broken(*args: object, **kwargs: object) -> object:
        return type("Result", (), {"ok": False, "differences": ("a", "b")})

    monkeypatch.setattr("weft.sim_tb.network.simulate", broken)
    with pytest.raises(ToolError) as error:
        prepared.run([x])
    assert str(error.value) == "net: the design differs: a; b"


def test_one_node() -> None:
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    x = np.array([[-1, 0, 0.5, 300]], np.float32)
    scale, zero = np.array(0.5, np.float32), np.array(3, np.int8)
    (y,) = weft.backend.run_node(node, [x, scale, zero])
    np.testing.assert_array_equal(y, np.array([[1, 3, 4, 127]], np.int8))
    assert y.dtype == np.int8
    (y,) = weft.backend.run_node(node, [x, scale, zero], opset_version=13)
    assert y.dtype == np.int8


def product(shape: tuple[int, ...], zero: int = 0, size: int = 3) -> tuple[Any, list[np.ndarray]]:
    node = helper.make_node("MatMulInteger", ["a", "b", "z"], ["y"])
    rng = np.random.default_rng(1)
    a = rng.integers(0, 256, shape).astype(np.uint8)
    b = rng.integers(-128, 128, (*shape[:-2], shape[-1], size)).astype(np.int8)
    return node, [a, b, np.array(zero, np.uint8)]


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (2, 3, 5, 7)])
def test_products_of_stacks(shape: tuple[int, ...]) -> None:
    node, inputs = product(shape, 9)
    (y,) = weft.backend.run_node(node, inputs, outputs_info=[(np.dtype(np.int32), None)])
    a, b, _ = inputs
    np.testing.assert_array_equal(y, (a.astype(np.int32) - 9) @ b.astype(np.int32))
    assert y.dtype == np.int32


def test_a_stack_by_one_matrix() -> None:
    node, (a, b, zero) = product((3, 5, 7))
    (y,) = weft.backend.run_node(node, [a, b[0], zero])
    np.testing.assert_array_equal(y, a.astype(np.int32) @ b[0].astype(np.int32))


def test_sums_that_are_not_exact_are_refused() -> None:
    """More accumulator steps than the repeated channels reach."""
    node, inputs = product((1, 2000), 0, 40)
    with pytest.raises(ModelError, match="the host reads it in steps of up to"):
        weft.backend.run_node(node, inputs)


def test_refused(digits: onnx.ModelProto) -> None:
    def prepared(op: str, kind: int = TensorProto.FLOAT, **attributes: Any) -> None:
        ports = [helper.make_tensor_value_info(name, kind, [1, 1, 4, 4]) for name in "xy"]
        node = helper.make_node(op, ["x"], ["y"], **attributes)
        graph = helper.make_graph([node], "net", ports[:1], ports[1:])
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        assert not weft.backend.is_compatible(model)
        weft.backend.prepare(model)

    with pytest.raises(ModelError, match=r"^net: not supported: Sin$"):
        prepared("Sin")
    with pytest.raises(ModelError) as error:
        prepared("MaxPool", kernel_shape=[2, 2])
    assert str(error.value) == "net: a float model; weft computes in integers: quantise it"
    ready = weft.backend.prepare(digits)
    with pytest.raises(ConfigError, match=r"^2 inputs, but the model has 1$"):
        ready.run([1, 2])
    with pytest.raises(ConfigError, match=r"^input 'image' is missing$"):
        ready.run({"picture": 1})
    with pytest.raises(ConfigError, match=r"^input 'image' is float64; expected float32"):
        ready.run([np.zeros((1, 1, 8, 8))])


def test_models_are_left_as_they_are(digits: onnx.ModelProto, images: np.ndarray) -> None:
    before = digits.SerializeToString()
    weft.backend.run_model(digits, [images])
    assert digits.SerializeToString() == before


def test_pool_of_codes() -> None:
    net = Net()
    codes = net.input("x", (2, 3, 4, 4), "uint8")
    net.output(net.node("MaxPool", codes, kernel_shape=[2, 2], strides=[2, 2]), 4, "uint8")
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)
    prepared = weft.backend.prepare(net.model())
    (y,) = prepared.run([x])
    np.testing.assert_array_equal(y, x.reshape(2, 3, 2, 2, 2, 2).max(axis=(3, 5)))
    assert prepared.where == "reference"
