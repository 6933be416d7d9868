"""How far each layer of weft's integers is from the float network and ONNX Runtime's codes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from weft.nn.ir.graph import Graph
from weft.nn.ir.host import encode_inputs
from weft.nn.ir.reference import run
from weft.report.onnx_runs import run_file

ELEMENTS = 1 << 24  # of all tensors that are compared, over all samples together
MOST = 64  # samples
CODES_ENDS = ("_QuantizeLinear_Output", "_quantized", "_q")
"""How quantisers call the codes of a float tensor."""


def layer_rows(
    graph: Graph, inputs: Mapping[str, np.ndarray], original: Path | None, int8: Path | None
) -> list[dict[str, Any]]:
    """One row for each layer whose tensor is found in one of the two files by its name.

    sqnr_db: the float tensor's variance over the mean square of weft's error; lost_db: how far that
    is below the least of what the layer reads. differ: share of codes that are not ONNX Runtime's.
    None where there is nothing to compare with.
    """
    size = sum(tensor.size for tensor in graph.tensors)
    most = max(1, min(MOST, ELEMENTS // max(1, size)))
    some = {name: array[:most] for name, array in inputs.items()}
    codes = run(graph, encode_inputs(graph, some))
    floats = _float_tensors(graph, some, original, int8)
    theirs = _code_tensors(graph, some, int8)
    sqnr = {}
    for name, wanted in floats.items():
        tensor = graph.tensor(name)
        values = (codes[name].astype(np.float64) - tensor.zero_point) * tensor.scale
        if (fitting := _shaped(wanted, values)) is not None:
            sqnr[name] = sqnr_db(fitting, values)
    rows = []
    for operator in graph.operators:
        name = operator.output
        read = [sqnr[x] for x in operator.inputs if sqnr.get(x) is not None]
        own, found = sqnr.get(name), theirs.get(name)
        differ = None
        if found is not None and (fitting := _shaped(found, codes[name])) is not None:
            differ = round(float(np.mean(fitting != codes[name])), 6)
        if own is not None or differ is not None:
            lost = None if own is None or not read else round(min(read) - own, 1)
            rows.append({"layer": operator.name, "sqnr_db": own, "lost_db": lost, "differ": differ})
    return rows


def sqnr_db(wanted: np.ndarray, found: np.ndarray) -> float | None:
    """The signal's variance over the mean square of the error; None where one of them is 0."""
    signal = float(np.var(wanted, dtype=np.float64))
    noise = float(np.mean(np.square(found.astype(np.float64) - wanted)))
    return round(float(10 * np.log10(signal / noise)), 1) if signal and noise else None


def _shaped(array: np.ndarray, like: np.ndarray) -> np.ndarray | None:
    """[n, ...] as codes are, [n, C, H, W]; None where its dimensions are others."""
    plain = [size for size in array.shape[1:] if size != 1]
    if len(array) != len(like) or plain != [size for size in like.shape[1:] if size != 1]:
        return None
    return array.reshape(like.shape)


def _float_tensors(
    graph: Graph, inputs: Mapping[str, np.ndarray], original: Path | None, int8: Path | None
) -> dict[str, np.ndarray]:
    """The float network's tensors by the names of the graph's."""
    if original is None:
        return {}
    known = _made(original) | set(inputs)
    quantised = _quantised(int8)
    ends = {edge.tensor: edge.name for edge in (*graph.inputs, *graph.outputs)}
    names: dict[str, str] = {}
    for tensor in graph.tensors:
        for name in (quantised.get(tensor.name), *_stems(tensor.name), ends.get(tensor.name)):
            if name in known:
                names[tensor.name] = name
                break
    wanted = [name for name in names.values() if name not in inputs]
    found = run_file(original, inputs, wanted) | dict(inputs)
    return {tensor: found[name] for tensor, name in names.items()}


def _stems(name: str) -> list[str]:
    return [name.removesuffix(end) for end in CODES_ENDS if name.endswith(end)]


def _code_tensors(
    graph: Graph, inputs: Mapping[str, np.ndarray], int8: Path | None
) -> dict[str, np.ndarray]:
    """ONNX Runtime's codes as int8 by the names of the graph's tensors."""
    if int8 is None:
        return {}
    wanted = [tensor.name for tensor in graph.tensors if tensor.name in _made(int8)]
    found = run_file(int8, inputs, wanted)
    codes = {}
    for name in wanted:
        if found[name].dtype == np.uint8:
            codes[name] = (found[name].astype(np.int16) - 128).astype(np.int8)
        elif found[name].dtype == np.int8:
            codes[name] = found[name]
    return codes


def _made(path: Path) -> set[str]:
    """Names of all that a file's nodes make."""
    return {name for node in onnx.load(path).graph.node for name in node.output if name}


def _quantised(path: Path | None) -> dict[str, str]:
    """What QuantizeLinear reads, by the name of its codes."""
    nodes = [] if path is None else onnx.load(path).graph.node
    return {node.output[0]: node.input[0] for node in nodes if node.op_type == "QuantizeLinear"}
