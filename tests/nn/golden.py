"""ONNX Runtime as the tests compare with it: the integers that it means, on every CPU."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tests.nn.exact_products import exact_products

Inputs = dict[str, np.ndarray]


def run_onnx(model: onnx.ModelProto | Path, inputs: Inputs) -> list[np.ndarray]:
    """Outputs of ONNX Runtime's integer kernels, int8 as int8 (``session.qdqisint8allowed``).

    Without that option it turns int8 activations to uint8 first; where a tensor has several readers
    it fails to and runs the operators in float. One sample at a time where the batch is 1.

    Products are exact, see ``exact_products``. Where this CPU's are exact by themselves, the model
    as it is must give the same bits.
    """
    proto = loaded(model)
    exact = exact_products(proto)
    if exact is None:
        return run_session(proto, inputs)
    found = run_session(exact, inputs)
    if multiplies_exactly():
        for a, b in zip(found, run_session(proto, inputs), strict=True):
            np.testing.assert_array_equal(a, b, "rewritten for exact products, and as it is")
    return found


def run_default(model: onnx.ModelProto | Path, inputs: Inputs) -> list[np.ndarray]:
    """Outputs of a session without options; they are right only where it ``multiplies_exactly``."""
    return run_session(loaded(model), inputs, int8=False)


def run_unoptimised(model: onnx.ModelProto | Path, inputs: Inputs) -> list[np.ndarray]:
    """What the operators say one by one: between DequantizeLinear and QuantizeLinear in float."""
    proto = loaded(model)
    return run_session(exact_products(proto) or proto, inputs, optimised=False)


def kernels(model: onnx.ModelProto) -> set[str]:
    """The operators that ONNX Runtime makes of a model: in float where they are not quantised."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/model.onnx"
        data, providers = model.SerializeToString(), ["CPUExecutionProvider"]
        onnxruntime.InferenceSession(data, options, providers=providers)
        return {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}


@cache
def multiplies_exactly() -> bool:
    """Whether ONNX Runtime multiplies uint8 by int8 exactly on this CPU: seen, not looked up."""
    a, b = np.full((1, 64), 255, np.uint8), np.full((64, 16), 127, np.int8)
    node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    given = helper.make_tensor_value_info("a", TensorProto.UINT8, a.shape)
    result = helper.make_tensor_value_info("y", TensorProto.INT32, (1, 16))
    graph = helper.make_graph([node], "probe", [given], [result], [numpy_helper.from_array(b, "b")])
    opsets = [helper.make_opsetid("", 13)]
    (found,) = run_session(helper.make_model(graph, opset_imports=opsets, ir_version=8), {"a": a})
    return bool(np.all(found == 64 * 255 * 127))


def run_session(
    model: onnx.ModelProto, inputs: Inputs, *, int8: bool = True, optimised: bool = True
) -> list[np.ndarray]:
    """One session of ONNX Runtime with the model as it is."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if int8:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data, providers = model.SerializeToString(), ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(data, options, providers=providers)
    if session.get_inputs()[0].shape[0] != 1:
        return [np.asarray(item) for item in session.run(None, inputs)]
    count = len(next(iter(inputs.values())))
    runs = [session.run(None, {k: v[i : i + 1] for k, v in inputs.items()}) for i in range(count)]
    return [np.concatenate([np.asarray(run[i]) for run in runs]) for i in range(len(runs[0]))]


def loaded(model: onnx.ModelProto | Path) -> onnx.ModelProto:
    return onnx.load(model) if isinstance(model, Path) else model
