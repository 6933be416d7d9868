"""weft behind ONNX's own interface for backends, ``onnx.backend.base``.

    import onnx, weft.backend

    prepared = weft.backend.prepare(onnx.load("model.onnx"))
    (scores,) = prepared.run([images])

A model is imported as ``weft compile`` does it and runs on the integer reference, which the
hardware equals. With ``prepare(model, board="ulx3s-85f")`` every run also builds the design for a
board and checks it, Verilated, against these outputs. Inputs that weft needs as constants (scales,
weights, shapes) may be inputs of the model: it is then imported at each run, with their values.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import Backend as OnnxBackend
from onnx.backend.base import BackendRep

from weft.errors import ConfigError, ModelError, ToolError
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.note import NoteKind
from weft.nn.onnx.folding import fold
from weft.nn.onnx.importer import import_graph
from weft.nn.onnx.model import OnnxModel, from_proto
from weft.nn.onnx.nodes import dynamic, quantising, running_order
from weft.nn.onnx.rewrite import gives_accumulators, parameters, specialised
from weft.nn.onnx.table import BY_NAME
from weft.nn.passes.simplify import simplify

Arrays = dict[str, np.ndarray]

MOVES = (
    "Concat", "DepthToSpace", "Gather", "Pad", "Resize", "Slice", "Softmax", "SpaceToDepth",
    "Split", "Tile",
)  # fmt: skip
"""What can be folded beside the operators that nothing is left of."""

SCALES = {"QuantizeLinear", "DequantizeLinear"}
MATRIX_PRODUCTS = ("QLinearMatMul", "MatMulInteger")


class Prepared(BackendRep):
    """A model that can be run.

    where: what the last run was done by: "reference" (the accelerator's integer reference), "host"
    (what the host does at the accelerator's edges) or "folded" (constant folding at import).
    """

    def __init__(self, model: onnx.ModelProto, board: str | None = None) -> None:
        self.where = ""
        self._model, self._board = model, board
        constants = {item.name for item in model.graph.initializer}
        self._names = [item.name for item in model.graph.input if item.name not in constants]
        self._bound = parameters(model) & set(self._names)
        self._moves_only = _refuse(from_proto(_copy(model)))

    def run(self, inputs: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        """The model's outputs, from arrays in the order of its inputs, or by their names.

        Raises ModelError where values or shapes give a model that weft does not take, ConfigError
        for inputs that are not the model's.
        """
        arrays = self._named(inputs)
        outputs = self._stacked(arrays) or self._once(arrays)
        return tuple(_as_declared(outputs[item.name], item) for item in self._model.graph.output)

    def _named(self, inputs: Any) -> Arrays:
        if isinstance(inputs, Mapping):
            named = dict(inputs)
        else:
            rows = inputs if isinstance(inputs, Sequence) else [inputs]
            if len(rows) > len(self._names):
                raise ConfigError(f"{len(rows)} inputs, but the model has {len(self._names)}")
            named = dict(zip(self._names, rows, strict=False))
        missing = [name for name in self._names if name not in named]
        if missing:
            raise ConfigError(f"input {missing[0]!r} is missing")
        return {name: np.asarray(named[name]) for name in self._names}

    def _stacked(self, arrays: Arrays) -> Arrays | None:
        """Products of stacks of matrices, one pair after the other; None for all else."""
        nodes = self._model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in MATRIX_PRODUCTS:
            return None
        a, b = nodes[0].input[0], nodes[0].input[3 if nodes[0].op_type == "QLinearMatMul" else 1]
        if not {a, b} <= set(arrays) or max(arrays[a].ndim, arrays[b].ndim) < 3:
            return None
        stack = np.broadcast_shapes(arrays[a].shape[:-2], arrays[b].shape[:-2])
        left = np.broadcast_to(arrays[a], (*stack, *arrays[a].shape[-2:]))
        right = np.broadcast_to(arrays[b], (*stack, *arrays[b].shape[-2:]))
        parts = [self._once(arrays | {a: left[i], b: right[i]}) for i in np.ndindex(*stack)]
        return {
            name: np.stack([part[name] for part in parts]).reshape(*stack, *array.shape)
            for name, array in parts[0].items()
        }

    def _once(self, arrays: Arrays) -> Arrays:
        try:
            return self._accelerated(arrays)
        except ModelError:
            if not self._moves_only:
                raise
        outputs = fold(from_proto(_copy(self._model)), arrays)
        self.where = "folded"
        return outputs

    def _accelerated(self, arrays: Arrays) -> Arrays:
        values = {name: arrays[name] for name in self._bound}
        feeds = {name: array for name, array in arrays.items() if name not in values}
        flat = None  # vectors and scalars have no batch, but these operators need none
        if {node.op_type for node in self._model.graph.node} <= SCALES:
            flat = next((array.shape for array in feeds.values() if array.ndim < 2), None)
        if flat is not None:
            feeds = {name: array.reshape(1, -1) for name, array in feeds.items()}
        proto = specialised(self._model, values, feeds)
        graph = import_graph(from_proto(proto))
        notes = [note for note in graph.notes if note.kind is not NoteKind.BATCH]
        if gives_accumulators(self._model) and notes:
            # Sums of integers that are not exact.
            raise ModelError(notes[0].text, at=notes[0].node or None)
        read = {edge.name for edge in graph.inputs}
        feeds = {name: array for name, array in feeds.items() if name in read}
        outputs = reference_model(graph, feeds)
        if self._board is not None and graph.operators:
            _verify(simplify(graph), self._board, feeds)
        self.where = "reference" if graph.operators else "host"
        return outputs if flat is None else {k: v.reshape(flat) for k, v in outputs.items()}


class Backend(OnnxBackend):
    """The class that ONNX's tools look for. Everything raises ``weft.errors.WeftError``."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Only "CPU": what is asked for here runs on this computer."""
        return device == "CPU"

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the model can be prepared; with run-time parameters a run may still refuse."""
        try:
            cls.prepare(model, device, **kwargs)
        except ModelError:
            return False
        return True

    @classmethod
    def prepare(
        cls,
        model: onnx.ModelProto,
        device: str = "CPU",
        *,
        board: str | None = None,
        **kwargs: Any,
    ) -> Prepared:
        """The model, ready to run. board: check each run on the design for this board, too.

        Raises ModelError for a model that is not supported.
        """
        return Prepared(model, board)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> tuple[np.ndarray, ...]:
        """One operator on arrays. kwargs: opset_version, and what ``prepare`` takes."""
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        arrays = [np.asarray(array) for array in inputs]
        ports = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for name, x in zip(filter(None, node.input), arrays, strict=True)
        ]
        given = outputs_info or [None] * len(node.output)
        outputs = [
            helper.make_empty_tensor_value_info(name)
            if info is None
            else helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(info[0]), None)
            for name, info in zip(node.output, given, strict=True)
        ]
        graph = helper.make_graph([node], node.name or "node", ports, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])
        inferred = onnx.shape_inference.infer_shapes(model)
        return cls.prepare(inferred, device, **kwargs).run(arrays)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())


def _refuse(model: OnnxModel) -> bool:
    """Raise ModelError where the operators alone say no; returns whether they only move values."""
    nodes = running_order(model)
    unknown = sorted({node.op for node in nodes if node.op not in BY_NAME or dynamic(node)})
    if unknown:
        raise ModelError(f"{model.name}: not supported: {', '.join(unknown)}")
    moves_only = all(BY_NAME[node.op].runs == "none" or node.op in MOVES for node in nodes)
    types = {port.dtype for port in model.inputs}
    if quantising(nodes) is None and not moves_only and not types & {"int8", "uint8"}:
        raise ModelError(f"{model.name}: a float model; weft computes in integers: quantise it")
    return moves_only


def _as_declared(array: np.ndarray, item: onnx.ValueInfoProto) -> np.ndarray:
    """An output in the model's type: accumulators come as floats, codes of 4 bits as int8."""
    kind = item.type.tensor_type.elem_type
    return array.astype(helper.tensor_dtype_to_np_dtype(kind)) if kind else array


def _verify(graph: Graph, board: str, feeds: Arrays) -> None:
    """Build and run the design; raises ToolError where it differs from the reference."""
    from weft.boards.board import load_board
    from weft.boards.target import target_of
    from weft.gen.build_dir import read_build, write_build
    from weft.gen.data import save_outputs
    from weft.gen.output import scratch_folder
    from weft.mapper.search import plan
    from weft.sim_tb.network import simulate

    chosen = load_board(board)
    with scratch_folder() as folder:
        build, inputs = Path(folder, "build"), Path(folder, "inputs.npz")
        write_build(build, graph, plan(graph, target_of(chosen)), chosen.to_json())
        save_outputs(inputs, feeds)
        result = simulate(read_build(build), inputs=inputs, samples=len(next(iter(feeds.values()))))
    if not result.ok:
        raise ToolError(f"{graph.name}: the design differs: {'; '.join(result.differences)}")


is_compatible = Backend.is_compatible
prepare = Backend.prepare
run_model = Backend.run_model
run_node = Backend.run_node
supports_device = Backend.supports_device
