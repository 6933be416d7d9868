"""What a model's nodes say of it: which of them count, in what order, and how it is quantised."""

from collections.abc import Iterable
from pathlib import Path

from weft.errors import ModelError
from weft.nn.forms import qonnx, qoperator
from weft.nn.onnx.model import Node, OnnxModel
from weft.nn.onnx.pads import fold_pads

DYNAMIC = (
    "DynamicQuantizeLinear", "com.microsoft.DynamicQuantizeLSTM",
    "com.microsoft.DynamicQuantizeMatMul",
)  # fmt: skip
QUANTISING = ("QuantizeLinear", "DequantizeLinear", *qoperator.HANDLERS, *qonnx.HANDLERS)


def running_order(model: OnnxModel) -> list[Node]:
    """The nodes that the outputs depend on, constants first; pads stand where they are used."""
    return fold_pads(model, sorted(_needed(model), key=lambda node: bool(node.inputs)))


def _needed(model: OnnxModel) -> list[Node]:
    """The nodes that the outputs depend on, in running order."""
    wanted = {port.name for port in model.outputs}
    result = []
    for node in reversed(model.nodes):
        if wanted & set(node.outputs):
            result.append(node)
            wanted |= set(node.inputs)
    return result[::-1]


def quantising(nodes: Iterable[Node]) -> Node | None:
    """The first node that belongs to a quantised form; None for a float network."""
    return next((node for node in nodes if node.op in QUANTISING), None)


def dynamic(node: Node) -> bool:
    """Whether a node quantises at run time."""
    return node.op in DYNAMIC


def check_form(path: str | Path, nodes: list[Node]) -> None:
    """Refuse what is quantised at run time, or not at all, and say what would work."""
    for node in nodes:
        if dynamic(node):
            raise ModelError(
                f"{path} is quantised dynamically (scales computed at run time)",
                remedy="quantise statically, e.g. with onnxruntime.quantization.quantize_static",
                at=node,
            )
    if quantising(nodes) is None:
        raise ModelError(
            f"{path} is a float model: it holds no quantisation; give samples of its inputs with "
            "--calibrate data.npz, or quantise it statically first, e.g. with "
            "onnxruntime.quantization.quantize_static"
        )
