"""Random float networks, quantised: close to what they were, or refused for a reason.

``python tests/nn/quantise/test_random_float.py 0 2000`` prints what docs/fuzzing.md has.
"""

import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from tests.nn.quantise.random_float import FloatNetwork, random_float
from weft.errors import ModelError
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model
from weft.nn.quantise.calibration import METHODS
from weft.nn.quantise.static import quantise

TIMES, STEPS = 4.0, 2.0
"""An output's error may be so many times that of simulated noise, and steps more."""


def run(model: onnx.ModelProto, wanted: list[str], feed: dict[str, np.ndarray]) -> dict:
    """Tensors of a model, in float32, nothing fused."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    del changed.graph.output[:]
    changed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        changed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    read = {item.name for item in session.get_inputs()}
    given = {name: array for name, array in feed.items() if name in read}
    return dict(zip(wanted, session.run(None, given), strict=True))


def noisy(network: FloatNetwork, values: dict, rng: np.random.Generator) -> dict:
    """The outputs where every tensor and weight is off by up to half a step of 8 bits.

    Knows nothing of how weft quantises: a measure of what 8 bits cost this network.
    """
    model = onnx.ModelProto.FromString(network.model.SerializeToString())
    graph, feed = model.graph, dict(network.inputs)

    def noise(array: np.ndarray, reach: float) -> np.ndarray:
        return (rng.uniform(-0.5, 0.5, array.shape) * reach / 255).astype(np.float32)

    for name, array in network.inputs.items():
        feed[name] = array + noise(array, max(array.max(), 0) - min(array.min(), 0))
    weights = {n.input[1] for n in graph.node if n.op_type in WEIGHTED}
    for item in graph.initializer:
        if item.name in weights:
            array = numpy_helper.to_array(item)
            reach = np.abs(array).max(initial=0) * 2
            item.CopyFrom(numpy_helper.from_array(array + noise(array, reach), item.name))
    nodes = []
    for node in graph.node:
        nodes.append(node)
        for index, name in enumerate(node.output if node.op_type != "Constant" else ()):
            if name in values and values[name].dtype == np.float32:
                node.output[index] = f"{name}~"
                added = noise(values[name], max(values[name].max(), 0) - min(values[name].min(), 0))
                feed[f"{name}~noise"] = added
                info = helper.make_tensor_value_info(f"{name}~noise", 1, None)
                graph.input.append(info)
                nodes.append(helper.make_node("Add", [f"{name}~", f"{name}~noise"], [name]))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return run(model, [item.name for item in graph.output], feed)


WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, kw_only=True)
class Result:
    """refusal: the message; else by output the error, RMS, beside the noise's, in steps."""

    refusal: str = ""
    errors: tuple[tuple[str, float, float], ...] = ()

    @property
    def bad(self) -> list[tuple[str, float, float]]:
        return [item for item in self.errors if not item[1] <= TIMES * item[2] + STEPS]


def result(number: int, folder: Path) -> Result:
    """Quantise one network and compare it with the float one."""
    network = random_float(number)
    path, target = folder / "net.onnx", folder / "int8.onnx"
    onnx.save(network.model, path)
    outputs = [item.name for item in network.model.graph.output]
    names = [name for node in network.model.graph.node for name in node.output]
    values = run(network.model, names, network.inputs)
    try:
        quantise(path, network.inputs, target, METHODS[number % 3] if number % 2 else "minmax")
        graph = import_model(target)
    except ModelError as error:
        return Result(refusal=str(error).replace(f"{path}", "MODEL").replace(f"{target}", "INT8"))
    found = reference_model(graph, {e.name: network.inputs[e.name] for e in graph.inputs})
    simulated = noisy(network, values, np.random.default_rng(number))
    errors = []
    for name in outputs:
        wanted = values[name].astype(np.float64)
        step = (max(wanted.max(), 0) - min(wanted.min(), 0)) / 255 or 1.0
        own, theirs = (
            float(np.sqrt(np.mean((array - wanted) ** 2)) / step)
            for array in (found[name], simulated[name])
        )
        errors.append((name, own, theirs))
    return Result(errors=tuple(errors))


def kind_of(refusal: str) -> str:
    """A refusal without the names and numbers in it."""
    text = re.sub(r"'[^']*'", "'...'", refusal)
    return re.sub(r"\d[\d.e+-]*", "N", text)[:150]


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_some_random_networks(first: int, tmp_path: Path) -> None:
    for number in range(first, first + 10):
        found = result(number, tmp_path)
        assert not found.bad, f"network {number}: {found.bad}"
        assert "8 bits explain" not in found.refusal, f"network {number}: {found.refusal}"


def main(first: int, last: int) -> None:
    """Count what became of the networks."""
    refusals: Counter[str] = Counter()
    first_of: dict[str, int] = {}
    kinds: Counter[str] = Counter()
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            found = result(number, Path(folder))
            if found.refusal:
                kind = kind_of(found.refusal)
                refusals[kind] += 1
                first_of.setdefault(kind, number)
            else:
                kinds.update(random_float(number).kinds)
                ratios += [own / max(theirs, 0.3) for _, own, theirs in found.errors]
            if found.bad:
                print("off:", number, found.bad, flush=True)
    for kind, count in refusals.most_common():
        print(f"{count:5} refused, first {first_of[kind]}: {kind}")
    print("quantised:", last - first - sum(refusals.values()), "outputs:", len(ratios))
    print("error over simulated noise, per cent of outputs and ratio:")
    print({q: round(float(np.percentile(ratios, q)), 2) for q in (5, 50, 95, 99, 99.9, 100)})
    print("operators in them:", dict(kinds.most_common()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
