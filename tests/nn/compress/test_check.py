"""A file that is not what was fitted is refused before anyone gets it."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.nn.compress.networks import made, matmul_net
from weft.errors import InternalError, ModelError
from weft.nn.compress.check import check_model
from weft.nn.compress.layers import array_proto
from weft.nn.compress.pipeline import Options, compress
from weft.nn.compress.standard import standard
from weft.nn.ir.ops.conv import Conv
from weft.nn.onnx.importer import import_model
from weft.nn.onnx.model import to_array


def test_a_failed_check(tmp_path: Path) -> None:
    path, samples = made(matmul_net, tmp_path)
    model, inputs = standard(path), {"x": samples}
    done, _ = compress(model, inputs, Options(bits=4))
    damaged = onnx.ModelProto()
    damaged.CopyFrom(done.model)
    first = done.layers[0]
    for item in damaged.graph.initializer:
        if item.name == first.stored:
            item.CopyFrom(array_proto(item.name, -to_array(item.name, item)))
    output = model.graph.output[0].name
    files = {}
    for name, file in (("good", done.model), ("bad", damaged)):
        onnx.save(file, tmp_path / f"{name}.onnx")
        files[name] = import_model(tmp_path / f"{name}.onnx", simplify=False)

    check_model(model, done, done.model, files["good"], inputs)
    with pytest.raises(InternalError) as stored:
        check_model(model, done, damaged, files["bad"], inputs)
    assert f"output {output!r} of the file differs from what was fitted" in str(stored.value)
    with pytest.raises(InternalError) as weights:
        check_model(model, done, done.model, files["bad"], inputs)
    assert f"layer {first.layer.name!r} is imported with other weights" in str(weights.value)


def test_integers_that_disagree(tmp_path: Path) -> None:
    """The same weights with other biases: ONNX Runtime and weft's integers are far apart."""
    path, samples = made(matmul_net, tmp_path)
    model, inputs = standard(path), {"x": samples}
    done, _ = compress(model, inputs, Options(bits=4))
    onnx.save(done.model, tmp_path / "small.onnx")
    graph = import_model(tmp_path / "small.onnx", simplify=False)
    last = graph.operators[-1]
    assert isinstance(last, Conv)
    off = last.replace(bias=last.bias + np.int64(1 << 14))
    wrong = graph.replace(operators=(*graph.operators[:-1], off))
    with pytest.raises(ModelError, match=r"of weft's integers would be off by .* from the"):
        check_model(model, done, done.model, wrong, inputs)
