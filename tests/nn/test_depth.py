"""DepthToSpace and SpaceToDepth: equal to ONNX Runtime, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_there_and_back(block: int, mode: str, tmp_path: Path) -> None:
    """SpaceToDepth in either order, which ONNX Runtime does not know yet."""
    net, shape = Net(opset=28), (1, 3, 2 * block, 3 * block)
    x = net.dq(net.input("x", shape), 0.1, 3)
    y = net.node("SpaceToDepth", x, blocksize=block, mode=mode)
    net.output(net.q(net.node("DepthToSpace", y, blocksize=block, mode=mode), 0.1, 3), 4)
    net.output(net.q(y, 0.1, 3), 4)
    x = np.random.default_rng(0).integers(-128, 128, (3, *shape[1:])).astype(np.int8)
    back, deep = reference_model(import_model(net.save(tmp_path)), {"x": x}).values()
    np.testing.assert_array_equal(back, x)
    blocks = x.reshape(3, 3, 2, block, 3, block)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    np.testing.assert_array_equal(deep, blocks.transpose(order).reshape(3, -1, 2, 3))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("depth", [1, 3, 5])
@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("op", ["DCR", "CRD", "SpaceToDepth"])
def test_equals_onnx_runtime(op: str, block: int, depth: int, dtype: str, tmp_path: Path) -> None:
    """Of real numbers, of codes, and of a transposed image."""
    net = Net()
    shape = (1, depth, 2 * block, 3 * block)
    op_type, attributes = "SpaceToDepth", {"blocksize": block}
    if op != "SpaceToDepth":
        shape = (1, depth * block * block, 3, 2)
        op_type, attributes = "DepthToSpace", {"blocksize": block, "mode": op}
    x = net.dq(net.input("x", shape, dtype), 0.1, 3, dtype)
    codes = net.q(x, 0.3, 9, dtype)
    net.output(net.node(op_type, codes, **attributes), 4, dtype)
    y = net.node(op_type, net.node("Relu", x), **attributes)
    net.output(net.q(y, 0.1, 3, dtype), 4, dtype)
    turned = net.node("Transpose", net.node("Transpose", x, perm=[0, 3, 2, 1]), perm=[0, 3, 2, 1])
    net.output(net.q(net.node(op_type, turned, **attributes), 0.07, 1, dtype), 4, dtype)
    path = net.save(tmp_path)
    info = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(info.min, info.max + 1, (3, *shape[1:])).astype(dtype)
    found = reference_model(import_model(path), {"x": x})
    for a, b in zip(found.values(), run_onnx(path, {"x": x}), strict=True):
        np.testing.assert_array_equal(a, b)


REFUSED = {
    "channels": (
        "DepthToSpace",
        (1, 6, 2, 2),
        2,
        "6 channels are no multiple of attribute 'blocksize' = 2 squared",
    ),
    "image": (
        "SpaceToDepth",
        (1, 6, 2, 5),
        2,
        "an image of 2 x 5 is no multiple of attribute 'blocksize' = 2",
    ),
    "no image": (
        "SpaceToDepth",
        (1, 6, 4),
        2,
        "input of shape [1, 6, 4] and attribute 'blocksize' = 2; images [N, C, H, W] and blocks of "
        "1 to 256 are supported",
    ),
    "too many": (
        "DepthToSpace",
        (1, 8192, 1, 1),
        2,
        "would take 67,108,864 weights of 0 and 1; up to 16,777,216 are supported",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    op, shape, block, text = REFUSED[case]
    net = Net()
    y = net.node(op, net.dq(net.input("x", shape), 0.1, 3), blocksize=block)
    net.output(net.q(y, 0.1, 3), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == f"node '{op.lower()}1' ({op}): {text}"
