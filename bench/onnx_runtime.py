"""Where ONNX Runtime differs from weft: figures of docs/ops.md, on this CPU.

    PYTHONPATH=. WEFT_MODELS=... python bench/onnx_runtime.py

Prints how many codes of near ties fall on the other side, and how many codes of whole networks
(from the folder WEFT_MODELS) saturation changes: 0 on a CPU with VNNI.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx

from tests.nn.golden import multiplies_exactly, run_default, run_onnx, run_session
from tests.nn.qdq_builder import Net
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

MODELS = Path(os.environ.get("WEFT_MODELS", "../shared/models"))
NETWORKS = {
    "digits/qdq_u8_cnn": ("digits/qdq_u8_cnn", 64),
    "digits/qoperator_u8_cnn": ("digits/qoperator_u8_cnn", 64),
    "digits/qdq_s8_cnn": ("digits/qdq_s8_cnn", 64),
    "digits/qdq_s8_mlp": ("digits/qdq_s8_mlp", 64),
    "mlperf_tiny/kws": ("mlperf_tiny/kws_data", 50),
}
SHAPE = (1, 8, 16, 16)
RATIOS = (0.5, 2 / 3, 0.75, 0.9, 1, 1.5, 2, 3)  # s_x / s_y


def average_pool(ratio: float) -> Net:
    net = Net()
    y = net.node("AveragePool", net.dq(net.input("x", SHAPE), 0.1 * ratio, -3), kernel_shape=[2, 2])
    net.output(net.q(y, 0.1, 5), 4)
    return net


def relu_between(ratio: float) -> Net:
    net = Net()
    y = net.node("Relu", net.dq(net.input("x", SHAPE), 0.1 * ratio, -5))
    net.output(net.q(y, 0.1, -128), 4)
    return net


def transposed(seed: int) -> Net:
    """Its bias at s_x * s_w."""
    rng, net = np.random.default_rng(seed), Net()
    s_x, s_w = np.float32(rng.uniform(0.01, 0.1)), np.float32(rng.uniform(0.001, 0.01))
    x = net.dq(net.input("x", (1, 8, 8, 8)), s_x, -3)
    w = net.dq(net.constant(rng.integers(-127, 128, (8, 8, 3, 3)), "int8"), s_w, 0)
    bias = net.dq(net.constant(rng.integers(-9000, 9000, 8), "int32"), s_x * s_w, 0, "int32")
    y = net.node("ConvTranspose", x, w, bias, strides=[2, 2])
    net.output(net.q(y, s_x * s_w * rng.uniform(300, 900), 5), 4)
    return net


def apart(net: Net, folder: Path) -> tuple[int, int, bool]:
    """Codes that differ and codes in all over 40 random inputs, and whether a note says so."""
    path = net.save(folder)
    shape = [d.dim_value for d in net.inputs[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).integers(-128, 128, (40, *shape[1:])).astype(np.int8)
    graph = import_model(path)
    (ours,) = reference_model(graph, {"x": x}).values()
    (theirs,) = run_onnx(path, {"x": x})
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    return int(np.count_nonzero(ours != theirs)), ours.size, bool(graph.notes)


def ties(name: str, nets: Iterable[Net], folder: Path) -> None:
    found = [apart(net, folder) for net in nets]
    differ, total = sum(row[0] for row in found), sum(row[1] for row in found)
    worst, noted = max(row[0] / row[1] for row in found), sum(row[2] for row in found)
    print(f"{name}: {differ:,} of {total:,}, at most {100 * worst:.2g} %; {noted} noted")


def saturated(model: Path, data: Path, count: int) -> str:
    """How a network's outputs change where sums saturate, by default and with int8 as int8."""
    proto, x = onnx.load(model), np.load(data)["x"][:count]
    inputs = {proto.graph.input[0].name: x}
    wanted = run_onnx(proto, inputs)[0].reshape(count, -1)
    step = np.diff(np.unique(wanted)).min()
    cells = []
    for found in (run_default(proto, inputs)[0], run_session(proto, inputs)[0]):
        outputs = found.reshape(count, -1)
        classes = np.count_nonzero(outputs.argmax(1) != wanted.argmax(1))
        differ = np.count_nonzero(outputs != wanted)
        most = round(float(np.abs(outputs - wanted).max() / step))
        cells.append(
            f"{differ:,} of {wanted.size:,}, by up to {most}; {classes} of {count} classes"
        )
    return " | ".join(cells)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others = np.random.default_rng(0).uniform(0.3, 3, 60)
        for name, build in (("AveragePool", average_pool), ("Relu", relu_between)):
            for ratio in RATIOS:
                ties(f"{name}, s_x / s_y {ratio:.3g}", [build(ratio)], folder)
            ties(f"{name}, 60 random ratios", map(build, others), folder)
        ties("60 ConvTranspose", map(transposed, range(60)), folder)
    print(f"\nuint8 x int8 is exact here: {multiplies_exactly()}")
    for model, (data, count) in NETWORKS.items():
        cells = saturated(MODELS / f"{model}.onnx", MODELS / f"{data}.npz", count)
        print(f"| `{model}` | {cells} |", flush=True)


if __name__ == "__main__":
    main()
