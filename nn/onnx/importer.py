"""From a file to the integer graph: one walk over the nodes, each by its operator's handler.

The ONNX forms differ in their operators only: QDQ (``weft.nn.onnx.ops.qdq*``), QOperator and QONNX
(``weft.nn.forms``), mixed as the file has them. A TFLite file becomes a QDQ model first.
docs/forms.md says what each is taken as.
"""

from pathlib import Path

from weft.errors import ModelError
from weft.nn.forms.file import read
from weft.nn.ir.graph import Graph
from weft.nn.onnx.model import OnnxModel
from weft.nn.onnx.nodes import check_form, running_order
from weft.nn.onnx.ports import NOTHING, begin, bind_batch, graph_of, host_input, import_output
from weft.nn.onnx.table import import_node
from weft.nn.passes.pipeline import run_passes
from weft.nn.passes.simplify import simplify as simplified


def import_model(path: str | Path, simplify: bool = True) -> Graph:
    """The integer graph of a statically quantised ONNX or TFLite file.

    simplify: leave out what no output depends on (``weft.nn.passes.simplify``); every output bit
    stays. Without it every tensor keeps the channels that it has in the file.

    Raises ModelError, and nothing else, for any file that cannot be taken as it is.
    """
    path = Path(path)
    model = read(path)
    check_form(path, running_order(model))
    graph = import_graph(model)
    if not graph.operators:
        raise ModelError(f"{NOTHING}", at=path)
    return simplified(graph) if simplify else graph


def import_graph(model: OnnxModel) -> Graph:
    """The integer graph of a model; without operators where only the host has work to do.

    Raises ModelError.
    """
    nodes = running_order(model)
    builder = begin(model, nodes)
    bind_batch(model, builder)
    for port in model.inputs:
        if port.name in builder.wanted:
            builder.symbols[port.name] = host_input(port)
    for node in nodes:
        import_node(node, builder)
    for port in model.outputs:
        import_output(port, builder)
    return run_passes(graph_of(builder))
