"""A model node by node: where each would run, and everything that is not supported.

Importing stops at the first node that is not supported. A survey goes on: what depends on such a
node is not judged, up to the next quantised tensor of known shape, where it starts afresh.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx

from weft.errors import ModelError
from weft.nn.forms import tflite, tflite_file
from weft.nn.forms.file import read
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv
from weft.nn.onnx.advice import GENERAL, not_supported
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import TYPE_NAMES, Node, OnnxModel, Port
from weft.nn.onnx.nodes import dynamic, running_order
from weft.nn.onnx.ports import NOTHING, begin, bind_batch, graph_of, host_input, import_output
from weft.nn.onnx.symbols import Constant, HostInput, HostResult, QuantisedConstant, Real
from weft.nn.onnx.table import BY_NAME, import_node
from weft.nn.onnx.views import Shape
from weft.nn.passes.pipeline import run_passes
from weft.nn.passes.simplify import simplify

UNSUPPORTED, UNJUDGED = "unsupported", "not judged"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One node of the model.

    runs: "array", "vector", "host", "folded" (nothing is left of it), UNSUPPORTED or UNJUDGED (it
    depends on one that is unsupported); remark: what is wrong, and what would work.
    """

    node: str
    operator: str
    runs: str
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All nodes that the outputs need, in running order, and the graph where all are supported.

    problems: what is wrong with no single node: inputs, outputs, the network as a whole.
    graph: as it is in the file; simplified: without what no output depends on.
    """

    findings: tuple[Finding, ...]
    problems: tuple[str, ...]
    graph: Graph | None = None
    simplified: Graph | None = None

    @property
    def refusals(self) -> int:
        """How many things keep the model from being compiled."""
        return len(self.problems) + sum(f.runs == UNSUPPORTED for f in self.findings)


def survey(path: Path) -> Survey:
    """Look at a quantised model. Raises ModelError for a file that is no usable model."""
    if is_tflite(path):
        listed = _tflite_by_name(path)
        if listed.refusals:
            return listed
    model = read(path)
    nodes = running_order(model)
    walk = _Walk(model, nodes, {} if is_tflite(path) else _types(path))
    walk.bind()
    for port in model.inputs:
        walk.enter(port)
    for node in nodes:
        walk.visit(node)
    for port in model.outputs:
        walk.leave(port)
    graph = walk.graph()
    simplified = None if graph is None else simplify(graph)
    operators = walk.builder.operators if simplified is None else simplified.operators
    made = _made(operators)
    return Survey(
        findings=tuple(_finding(walk, node, made.get(_key(node), [])) for node in nodes),
        problems=tuple(walk.problems),
        graph=graph,
        simplified=simplified,
    )


def by_name(path: Path) -> Survey:
    """The same by the operators' names alone, for models of which no more can be known."""
    found = []
    for node in running_order(read(path)):
        known = node.op in BY_NAME and not dynamic(node)
        runs = UNJUDGED if known else UNSUPPORTED
        remark = "" if known else _unknown(node)
        found.append(Finding(node=node.name, operator=node.op, runs=runs, remark=remark))
    return Survey(findings=tuple(found), problems=())


def _tflite_by_name(path: Path) -> Survey:
    """A TFLite file's own operators, by their names: they are converted together or not at all."""
    found = []
    for item in tflite_file.read(path).operators:
        known = item.op in tflite.HANDLERS
        remark = "" if known else f"operator {item.op} is not supported in TFLite files; {GENERAL}"
        runs = UNJUDGED if known else UNSUPPORTED
        found.append(Finding(node=item.name, operator=item.op, runs=runs, remark=remark))
    return Survey(findings=tuple(found), problems=())


class _Walk:
    """The import so far, and what was refused."""

    def __init__(
        self, model: OnnxModel, nodes: list[Node], types: dict[str, tuple[str, Shape]]
    ) -> None:
        self.model, self.nodes, self.types = model, nodes, types
        self.builder = begin(model, nodes)
        self.blocked: dict[str, str] = {}  # value -> the node or input that keeps it from view
        self.problems: list[str] = []
        # By the first outputs of nodes, which are theirs alone:
        self.refused: dict[str, str] = {}
        self.waits: dict[str, str] = {}
        self.on_host: set[str] = set()

    def bind(self) -> None:
        """Take the inputs' batch."""
        try:
            bind_batch(self.model, self.builder)
        except ModelError as error:
            self.problems.append(str(error))

    def enter(self, port: Port) -> None:
        """Take a model input."""
        if port.name not in self.builder.wanted:
            return
        try:
            self.builder.symbols[port.name] = host_input(port)
        except ModelError as error:
            self.problems.append(str(error))
            self.blocked[port.name] = f"input {port.name!r}"

    def visit(self, node: Node) -> None:
        """Import a node as far as that is possible."""
        if node.op not in BY_NAME or dynamic(node):
            self._refuse(node, _unknown(node), node)
            return
        afresh = self._starts_afresh(node)
        hidden = [self.blocked[name] for name in node.inputs if name in self.blocked]
        if hidden:
            self.waits[_key(node)] = hidden[0]
            self.blocked |= dict.fromkeys(node.outputs, hidden[0])
            return
        if not afresh and _at_the_edge(node, self.builder):
            self.on_host.add(_key(node))
        try:
            import_node(node, self.builder)
        except ModelError as error:
            # A convolution's own faults show when its QuantizeLinear is met.
            named = [item for item in self.nodes if error.at in (item, item.origin)]
            culprit = named[0] if named else node
            self._refuse(culprit, error.text if named else str(error), node)
            return
        if isinstance(self.builder.symbols[node.outputs[0]], HostResult):
            self.on_host.add(_key(node))

    def _refuse(self, culprit: Node, why: str, node: Node) -> None:
        self.refused.setdefault(_key(culprit), why)
        if culprit is not node:
            self.waits[_key(node)] = f"node {culprit.name!r}"
        self.blocked |= dict.fromkeys(filter(None, node.outputs), f"node {culprit.name!r}")

    def _starts_afresh(self, node: Node) -> bool:
        """Behind a refusal, Q and DQ of values of known type and shape read them as an input."""
        name = node.input(0)
        dtype, shape = self.types.get(name, ("", ()))
        wanted = {"QuantizeLinear": ("float",), "DequantizeLinear": ("int8", "uint8")}
        if name in self.blocked and dtype in wanted.get(node.op, ()):
            port = Port(name=name, dtype=dtype, shape=(None, *shape[1:]))
            try:
                self.builder.symbols[name] = host_input(port)
            except ModelError:
                return False  # a shape that nothing can be said about
            del self.blocked[name]
            return True
        return False

    def leave(self, port: Port) -> None:
        """Take a model output."""
        if port.name in self.blocked:
            return
        try:
            import_output(port, self.builder)
        except ModelError as error:
            self.problems.append(str(error))
            return
        if isinstance(self.builder.symbols[port.name], Real):  # dequantised there
            self.on_host.add(port.name)

    def graph(self) -> Graph | None:
        """The whole graph; None, perhaps with one more problem, where there is none."""
        if self.refused or self.problems:
            return None
        if not self.builder.operators:
            self.problems.append(NOTHING)
            return None
        try:
            return run_passes(graph_of(self.builder))
        except ModelError as error:
            self.problems.append(str(error))
            return None


def _types(path: Path) -> dict[str, tuple[str, Shape]]:
    """Type and shape of every value of an ONNX file, as far as they can be inferred."""
    proto = onnx.load(path)
    # Slices of impossible shapes make onnx 1.23 abort the process.
    kept = [node for node in proto.graph.node if node.op_type != "Slice"]
    del proto.graph.node[:]
    proto.graph.node.extend(kept)
    try:
        proto = onnx.shape_inference.infer_shapes(proto)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return {}
    found = {}
    for item in (*proto.graph.input, *proto.graph.value_info, *proto.graph.output):
        tensor = item.type.tensor_type
        if tensor.HasField("shape"):
            shape = tuple(d.dim_value for d in tensor.shape.dim)  # 0: not known
            found[item.name] = (TYPE_NAMES.get(tensor.elem_type, ""), shape)
    return found


def _unknown(node: Node) -> str:
    if dynamic(node):
        return (
            "scales computed at run time are not supported; quantise statically, e.g. with "
            "onnxruntime.quantization.quantize_static"
        )
    return not_supported(node.op)


def _at_the_edge(node: Node, builder: Builder) -> bool:
    """Whether the host does a node's work in front of the accelerator."""
    source = builder.symbols.get(node.input(0))
    return isinstance(source, HostInput) and node.op != "DequantizeLinear"


def _key(node: Node) -> str:
    return node.outputs[0] if node.outputs else node.name


def _finding(walk: _Walk, node: Node, made: list[Operator]) -> Finding:
    remark = ""
    if _key(node) in walk.refused:
        runs, remark = UNSUPPORTED, walk.refused[_key(node)]
    elif _key(node) in walk.waits:
        runs, remark = UNJUDGED, f"depends on {walk.waits[_key(node)]}"
    else:
        runs = _place(walk, node, made)
    return Finding(node=node.name, operator=node.op, runs=runs, remark=remark)


def _place(walk: _Walk, node: Node, made: list[Operator]) -> str:
    if made:
        return "array" if any(on_array(op) for op in made) else "vector"
    symbol = walk.builder.symbols.get(node.outputs[0])
    constant = isinstance(symbol, Constant | QuantisedConstant)
    return "host" if _key(node) in walk.on_host and not constant else "folded"


def _made(operators: Iterable[Operator]) -> dict[str, list[Operator]]:
    """The operators that came from each node above all, by the node's result."""
    made: dict[str, list[Operator]] = {}
    for operator in operators:
        for origin in operator.origins[:1]:
            made.setdefault(origin.result, []).append(operator)
    return made


def on_array(operator: Operator) -> bool:
    """Whether the matrix array runs an operator; the vector unit runs the others."""
    if not isinstance(operator, Conv):
        return False
    depthwise = operator.groups == operator.weight.shape[0] > 1 and operator.weight.shape[1] == 1
    return not depthwise
