"""A survey gives every node a place or a reason, and finds all that the importer refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.nn.qdq_builder import Net
from tests.nn.test_errors import CASES, net_of
from weft.errors import ModelError
from weft.nn.forms import tflite_file
from weft.nn.onnx.advice import ADVICE, GENERAL, advice
from weft.nn.onnx.importer import import_model
from weft.nn.onnx.survey import Survey, by_name, survey
from weft.nn.onnx.table import BY_NAME


def places(found: Survey) -> dict[str, str]:
    return {item.node: item.runs for item in found.findings}


def remarks(found: Survey) -> dict[str, str]:
    return {item.node: item.remark for item in found.findings if item.runs == "unsupported"}


def test_digits(root: Path) -> None:
    path = root / "examples/digits/digits.onnx"
    found = survey(path)
    assert found.graph == import_model(path, simplify=False)
    assert found.simplified == import_model(path)
    assert (found.refusals, found.problems) == (0, ())
    runs = places(found)
    by_place = {place: {n for n, p in runs.items() if p == place} for place in runs.values()}
    assert by_place["array"] == {"stem", "pointwise", "reduce", "mix", "classify"}
    assert by_place["vector"] == {"depthwise", "residual", "pool"}
    assert by_place["host"] == {"image_QuantizeLinear", "logits_DequantizeLinear"}
    assert "features" in by_place["folded"]
    assert set(by_place) == {"array", "vector", "host", "folded"}


def test_host_and_tables(tmp_path: Path) -> None:
    """A Softmax and its neighbours are the host's, a table is the array's, Relu is nobody's."""
    net = Net()
    x = net.dq(net.q(net.input("x", ("n", 4), "float32"), 0.1, 3), 0.1, 3)
    y = net.dq(net.q(net.node("Relu", net.node("Sigmoid", x)), 0.1, 1), 0.1, 1)
    net.output(net.dq(net.q(net.node("Softmax", y, axis=1), 0.1, 0), 0.1, 0), 2, "float32")
    found = survey(net.save(tmp_path))
    wanted = ["host", "folded", "array", "folded", "folded", "folded", "host", "host", "host"]
    assert [item.runs for item in found.findings] == wanted


def test_everything_is_found(tmp_path: Path) -> None:
    """Three faults behind each other: what lies between is judged where a Q starts it afresh."""
    net = Net()
    x = net.dq(net.input("x", ("n", 4, 6, 6)), 0.1, 3)
    y = net.node("Relu", net.node("Sin", x))  # relu2 cannot be judged
    y = net.dq(net.q(y, 0.1, 0), 0.1, 0)
    weight = net.dq(net.constant(np.ones((8, 4, 3, 3)), "int8"), 0.01, 0)
    y = net.node("Conv", y, weight, net.constant([1, 2, 3], "float32"), pads=[1, 1, 1, 1])
    y = net.dq(net.q(y, 0.1, 0), 0.1, 0)
    y = net.node("Flatten", net.node("Relu", y))
    y = net.node("Gemm", net.dq(net.q(y, 0.1, 0), 0.1, 0), weight, alpha=0.3)
    net.output(net.node("LSTM", y, weight, weight), 2)
    found = survey(net.save(tmp_path))
    assert remarks(found) == {
        "sin1": f"operator Sin is not supported; {GENERAL}",
        "conv6": "bias 'c9' has shape [3]; one value per output channel (8) is needed",
        "gemm13": "attribute 'alpha' = 0.3 is not supported; powers of two are: multiply the "
        "constants by it before quantisation",
        "lstm14": "operator LSTM is not supported; recurrent networks are not supported; unroll "
        "it into Gemm, or use convolutions",
    }
    assert found.refusals == 4
    assert found.graph is None
    runs = places(found)
    assert (runs["relu2"], runs["quantizelinear3"]) == ("not judged", "folded")
    waits = {item.node: item.remark for item in found.findings if item.runs == "not judged"}
    assert waits["relu2"] == "depends on node 'sin1'"


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("unsupported", "dynamic")])
def test_survey_finds_what_the_importer_refuses(name: str, tmp_path: Path) -> None:
    build, _ = CASES[name]
    path = net_of(build).save(tmp_path)
    with pytest.raises(ModelError) as error:
        import_model(path)
    found = survey(path)
    told = [f"node {i.node!r} ({i.operator}): {i.remark}" for i in found.findings if i.remark]
    assert str(error.value) in (*told, *found.problems)
    assert found.graph is None


@pytest.mark.parametrize("name", ["unsupported", "dynamic"])
def test_names_alone(name: str, tmp_path: Path) -> None:
    path = net_of(CASES[name][0]).save(tmp_path)
    (of_survey,), (of_names,) = remarks(survey(path)).items(), remarks(by_name(path)).items()
    assert of_survey == of_names
    assert of_survey[1] == (
        f"operator Sin is not supported; {GENERAL}"
        if name == "unsupported"
        else "scales computed at run time are not supported; quantise statically, e.g. with "
        "onnxruntime.quantization.quantize_static"
    )


def test_inputs_and_outputs(tmp_path: Path) -> None:
    """What belongs to no node is a problem of its own, each of them."""
    net = Net()
    for name in ("a", "b"):
        y = net.dq(net.input(name, ("n", 4, "w", 6)), 0.1, 3)
        net.output(net.q(net.node("Relu", y), 0.2, 1), 4)
    good = net.dq(net.input("c", ("n", 4)), 0.1, 3)
    net.output(net.node("Relu", good), 2, "float32")
    found = survey(net.save(tmp_path))
    size = "has no fixed size in dimension 2; only the batch may be free: export with fixed sizes"
    assert found.problems == (
        f"input 'a' {size}",
        f"input 'b' {size}",
        "output 'relu7' is not quantised: put QuantizeLinear and DequantizeLinear between node "
        "'relu7' and it",
    )
    assert set(places(found).values()) == {"not judged", "folded"}


def test_the_network_as_a_whole(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.q(net.input("x", ("n", 4), "float32"), 0.1, 3), 0.1, 3)
    net.output(x, 2, "float32")
    found = survey(net.save(tmp_path))
    assert found.problems == ("nothing to accelerate: no operator lies between Q and DQ",)


def test_advice_is_for_what_is_not_supported() -> None:
    assert not set(ADVICE) & set(BY_NAME)
    assert advice("Upsample") == "export with opset 11 or later, which has Resize"
    assert advice("Erf") == (
        "a Gelu node, which holds it, is supported: export with opset 20 or later"
    )
    assert list(ADVICE) == sorted(ADVICE)


def test_third_party_models(model_file: Callable[[str], Path]) -> None:
    for name in ("ad.onnx", "ad.tflite"):
        found = survey(model_file(f"mlperf_tiny/{name}"))
        assert found.refusals == 0
        runs = [(item.operator, item.runs) for item in found.findings]
        assert runs.count(("Gemm", "array")) == 10
        assert {place for op, place in runs if op != "Gemm"} <= {"host", "folded"}


def test_tflite_operators_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    operators = tuple(
        tflite_file.TfOperator(name=name, op=op, inputs=(0,), outputs=(1,))
        for name, op in (("a", "ADD"), ("b", "UNPACK"), ("c", "PACK"))
    )
    model = tflite_file.TfModel(tensors=(), operators=operators, inputs=(), outputs=())
    monkeypatch.setattr(tflite_file, "read", lambda path: model)
    found = survey(Path("net.tflite"))
    assert remarks(found) == {
        name: f"operator {op} is not supported in TFLite files; {GENERAL}"
        for name, op in (("b", "UNPACK"), ("c", "PACK"))
    }
    assert places(found)["a"] == "not judged"


def test_nodes_that_share_a_name(tmp_path: Path) -> None:
    """A convolution's fault shows at its QuantizeLinear, and is told of that one."""
    net = Net()
    y = net.dq(net.input("x", ("n", 1, 4, 4)), 0.1, 3)
    for scale, after in ((0.01, 2.0**20), (2.0**59, 2.0**-59)):
        weight = net.dq(net.constant(np.ones((1, 1, 1, 1)), "int8"), scale, 0)
        y = net.node("Conv", y, weight)
        net.nodes[-1].name = "same"
        y = net.dq(net.q(y, after, 0), after, 0)
    net.output(y, 4, "float32")
    found = survey(net.save(tmp_path)).findings
    convs = [item for item in found if item.operator == "Conv"]
    assert [item.runs for item in convs] == ["array", "unsupported"]
    assert convs[1].remark == "the scale factor s_x * s_w / s_y overflows float32"
