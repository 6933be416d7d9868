"""Whether a graph, a plan and a manifest that were read from files can be of one build.

They carry a checksum, which a program that changes them can change as well: so nothing that is used
later is taken on trust. Sizes come first, then what is only small if they are.
"""

import math
from typing import Any

import numpy as np

from weft.machine.check import rules
from weft.machine.layout import fold_codes
from weft.machine.plan import Plan, Port
from weft.nn.ir import checker
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import decode, encode
from weft.nn.ir.host_steps import DequantizeStep, QuantizeStep
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.tensor import Tensor

MAX_CODES = 1 << 26
"""Of all tensors together, and of what a window's taps are gathered in: memory for one sample."""

EDGE_TYPES = ("float32", "int8", "uint8", "int32", "int64")
DERIVED = ("weft", "tools", "board_file", "sources", "soc", "files")
"""Fields of a manifest that do not follow from the plan alone."""


def check_graph(graph: Graph) -> None:
    """Raise ValueError where the graph breaks a rule, or is too large for any device."""
    total = sum(math.prod(tensor.shape) for tensor in graph.tensors)
    _need(total <= MAX_CODES, f"its tensors hold {total:,} codes, more than {MAX_CODES:,}")
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    for edge in (*graph.inputs, *graph.outputs):
        _need(edge.tensor in tensors, f"{edge.name!r} belongs to an unknown tensor")
    for operator in graph.operators:
        for name in operator.inputs:
            _need(name in tensors, f"{operator.name!r} reads an unknown tensor {name!r}")
        if isinstance(operator, Conv | MaxPool | AveragePool):
            _check_window(operator, tensors[operator.input])
    checker.check(graph)
    for edge in graph.inputs:
        _check_input(edge, tensors[edge.tensor])
    for edge in graph.outputs:
        _check_output(edge, tensors[edge.tensor])


def check_pair(graph: Graph, plan: Plan) -> None:
    """Raise ValueError where a sound graph and a plan break a rule together, or the plan alone."""
    rules.check(plan)
    _need(plan.network == graph.name, f"it is of network {plan.network!r}, not {graph.name!r}")
    given = {edge.tensor: edge for edge in graph.inputs}
    ports = {port.edge.tensor: port.edge for port in plan.inputs.ports}
    _need(ports == given, "its inputs are not the graph's")
    for port in plan.inputs.ports:
        _check_stored(port, graph)
    _need(len(plan.outputs.ports) == len(graph.outputs), "its outputs are not the graph's")
    for port, edge in zip(plan.outputs.ports, graph.outputs, strict=True):
        # An output that only copies an input has a tensor of its own in the plan.
        same = port.edge.replace(tensor=edge.tensor) == edge and port.fold is None
        _need(same, f"its output {port.edge.name!r} is not the graph's")
        shape = graph.tensor(edge.tensor).shape
        _need(port.shape == shape, f"its output {edge.name!r} has shape {port.shape}, not {shape}")


def check_manifest(manifest: dict[str, Any], derived: dict[str, Any]) -> None:
    """Raise ValueError where a manifest does not say what follows from its plan.

    The image limits of a fixed network are all 0.
    """
    fixed = [0] * len(derived["image_limits"])
    for name in derived.keys() - {*DERIVED}:
        allowed = [derived[name]] + [fixed] * (name == "image_limits")
        if not any(_same(manifest.get(name), value) for value in allowed):
            raise ValueError(f"field {name!r} is not what follows from the plan")
    sources = manifest.get("sources")
    _need(
        isinstance(sources, list) and all(isinstance(name, str) for name in sources),
        "field 'sources' must be a list of file names",
    )


def _same(a: Any, b: Any) -> bool:
    """Equal, and no number for a truth value."""
    return type(a) is type(b) and a == b


def _need(condition: bool, rule: str) -> None:
    if not condition:
        raise ValueError(rule)


def _check_window(operator: Conv | MaxPool | AveragePool, source: Tensor) -> None:
    window, (channels, height, width) = operator.window, source.shape
    numbers = (*window.kernel, *window.stride, *window.dilation, *window.stretch, *window.pads)
    small = all(abs(number) < 1 << 16 for number in numbers)
    _need(small, f"{operator.name!r}: a window out of range")
    top, left, bottom, right = window.pads
    rows = height * window.stretch[0] + max(top, 0) + max(bottom, 0)
    cols = width * window.stretch[1] + max(left, 0) + max(right, 0)
    out_h, out_w = window.output_size(height, width)
    _need(min(out_h, out_w) >= 1, f"{operator.name!r}: a window larger than its image")
    gathered = channels * max(rows * cols, math.prod(window.kernel) * out_h * out_w)
    _need(gathered <= MAX_CODES, f"{operator.name!r}: {gathered:,} codes to gather")


def _check_input(edge: HostEdge, tensor: Tensor) -> None:
    """By an array of zeros that goes the edge's way."""
    _check_edge(edge)
    try:
        codes = encode(edge, np.zeros((1, *edge.shape), edge.dtype))
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"input {edge.name!r}: its steps do not fit: {error}") from error
    fits = codes.dtype == np.int8 and codes.shape == (1, *tensor.shape)
    _need(fits, f"input {edge.name!r}: its steps do not lead to {tensor.name!r}")


def _check_output(edge: HostEdge, tensor: Tensor) -> None:
    _check_edge(edge)
    try:
        array = decode(edge, np.zeros((1, *tensor.shape), np.int8))
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"output {edge.name!r}: its steps do not fit: {error}") from error
    fits = array.dtype == edge.dtype and array.shape == (1, *edge.shape)
    _need(fits, f"output {edge.name!r}: its steps do not lead to {edge.dtype} {edge.shape}")


def _check_edge(edge: HostEdge) -> None:
    where = f"edge {edge.name!r}"
    _need(edge.dtype in EDGE_TYPES, f"{where}: type {edge.dtype!r}")
    sizes = all(0 < size <= MAX_CODES for size in edge.shape) and len(edge.shape) < 32
    _need(sizes and math.prod(edge.shape) <= MAX_CODES, f"{where}: shape {edge.shape}")
    for step in edge.steps:
        if isinstance(step, QuantizeStep | DequantizeStep):
            scale = 1e-44 < step.scale < 3.4e38  # as float32 neither 0 nor infinite
            codes = np.iinfo(step.dtype) if step.dtype in ("int8", "uint8") else None
            fits = codes is not None and codes.min <= step.zero_point <= codes.max
            _need(scale and fits, f"{where}: {step} by {step.scale:g}, {step.zero_point}")


def _check_stored(port: Port, graph: Graph) -> None:
    """That the host can pack an input as the plan stores it."""
    shape = graph.tensor(port.edge.tensor).shape
    if port.fold is not None:
        _check_fold_size(port, shape)
        shape = fold_codes(port.fold, np.zeros((1, *shape), np.int8)).shape[1:]
    _need(shape == port.shape, f"its input {port.edge.name!r} is stored as {port.shape}")


def _check_fold_size(port: Port, shape: tuple[int, int, int]) -> None:
    fold = port.fold
    assert fold is not None
    rows, cols = shape[1] + sum(fold.pads[::2]), shape[2] + sum(fold.pads[1::2])
    reach = [d * (n - 1) for d, n in zip(fold.dilation, (fold.rows, fold.cols), strict=True)]
    room = rows > reach[0] and cols > reach[1]
    size = shape[0] * rows * cols * fold.rows * fold.cols
    _need(room and size <= MAX_CODES, f"its input {port.edge.name!r} is folded out of its image")
