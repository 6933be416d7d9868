"""Where ONNX Runtime on this computer saturates sums that weft, and ONNX's meaning, do not."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from weft.nn.ir.ops.conv import Conv
from weft.nn.onnx.model import OnnxModel, load
from weft.nn.onnx.survey import Survey

CPUINFO = Path("/proc/cpuinfo")
VNNI = {"avx512_vnni", "avx_vnni"}
PRODUCTS = {
    "Conv", "ConvInteger", "Gemm", "MatMul", "MatMulInteger", "QLinearConv", "QLinearMatMul",
    "com.microsoft.QGemm",
}  # fmt: skip
MOST = 128  # 255 * 128 is within 16 bits, 255 * 129 is not


def saturation_notes(model: Path, looked: Survey) -> list[str]:
    """What to know before comparing with ONNX Runtime here; nothing where it is exact.

    model: a quantised ONNX file; looked: its survey.
    """
    if not cpu_saturates():
        return []
    types = _constant_types(load(model))
    nodes = _nodes(looked)
    if not nodes or TensorProto.INT8 not in types:
        return []
    others = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    advice = "its option session.qdqisint8allowed = 1 prevents that"
    if TensorProto.UINT8 in types:
        advice = "compare on a CPU with VNNI, or quantise activations to int8"
    return [
        "this CPU has no VNNI: ONNX Runtime's sums of uint8 x int8 products may saturate on it, "
        f"weft's are exact; codes may differ from node {nodes[0]!r}{others} on; {advice}"
    ]


def cpu_saturates() -> bool:
    """Whether ONNX Runtime's kernels for uint8 x int8 add pairs of products in 16 bits here.

    Those for AVX2 do. False where the processor's flags cannot be read.
    """
    flags = cpu_flags()
    return "avx2" in flags and not flags & VNNI


def cpu_flags() -> set[str]:
    """What Linux says of an x86-64 processor; empty elsewhere."""
    try:
        lines = CPUINFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    found = [line.partition(":")[2] for line in lines if line.startswith("flags")]
    return set(found[0].split()) if found else set()


def _constant_types(model: OnnxModel) -> set[int]:
    """Element types of initialisers and Constant nodes, as ONNX numbers them."""
    types = {helper.np_dtype_to_tensor_dtype(item.dtype) for item in model.initialisers.values()}
    values = (node.attributes.get("value") for node in model.nodes if node.op == "Constant")
    return types | {item.data_type for item in values if isinstance(item, TensorProto)}


def _nodes(looked: Survey) -> list[str]:
    """The products in which two weights of a channel together reach beyond 16 bits."""
    products = {
        (finding.node, finding.operator)
        for finding in looked.findings
        if finding.operator in PRODUCTS
    }
    convs = [] if looked.graph is None else looked.graph.operators
    return [
        conv.origins[0].name
        for conv in convs
        if isinstance(conv, Conv)
        and conv.origins
        and (conv.origins[0].name, conv.origins[0].op) in products
        and _can_saturate(conv)
    ]


def _can_saturate(conv: Conv) -> bool:
    """Depthwise convolutions have kernels of their own, which are exact."""
    if conv.groups > 1 and conv.weight.shape[1] == 1:
        return False
    weight = np.sort(conv.weight.reshape(len(conv.weight), -1).astype(int), axis=1)
    if weight.shape[1] < 2:
        return False
    return bool(np.any(weight[:, -2:].sum(1) > MOST) or np.any(weight[:, :2].sum(1) < -MOST))
