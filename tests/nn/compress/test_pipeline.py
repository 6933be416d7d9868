"""Small networks compressed end to end: in ONNX Runtime, imported, and against the original."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.nn.compress.networks import SHAPES, Build, conv_net, line_net, made, matmul_net
from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ConfigError, FitError, ModelError
from weft.nn.compress.check import check_model, engine_weight
from weft.nn.compress.one_shot import Compressed
from weft.nn.compress.patterns import pattern
from weft.nn.compress.pipeline import Options, compress
from weft.nn.compress.precision import Budget
from weft.nn.compress.score import outputs, snr_db
from weft.nn.compress.standard import standard
from weft.nn.compress.typed import few_bit
from weft.nn.onnx.importer import import_model
from weft.nn.onnx.model import TYPE_NAMES


def written(path: Path, samples: np.ndarray, options: Options) -> tuple[Compressed, Path]:
    """A network compressed with the first half of its samples, checked, and its file."""
    model, inputs = standard(path), {"x": samples[:32]}
    done, _ = compress(model, inputs, options)
    file = few_bit(done.model, {item.stored: item.wanted.bits for item in done.layers}, inputs)
    target = path.with_name("small.onnx")
    onnx.save(file, target)
    graph = import_model(target, simplify=False)
    found = check_model(model, done, file, graph, {"x": samples[32:]})
    assert found.largest < 0.05
    return done, target


def loss(path: Path, target: Path, samples: np.ndarray) -> float:
    """The error of the outputs on the other half, in decibels below them."""
    before, after = (outputs(import_model(p), {"x": samples[32:]}) for p in (path, target))
    return snr_db(after, before) or 99.0


@pytest.mark.parametrize("build", SHAPES)
@pytest.mark.parametrize(
    ("bits", "least", "kind"), [(5, 18, "int8"), (4, 12, "int4"), (2, 1, "int2")]
)
def test_few_bits(build: Build, bits: int, least: float, kind: str, tmp_path: Path) -> None:
    path, samples = made(build, tmp_path)
    done, target = written(path, samples, Options(bits=bits))
    assert loss(path, target, samples) > least
    types = {item.name: TYPE_NAMES[item.data_type] for item in onnx.load(target).graph.initializer}
    assert {types[item.stored] for item in done.layers} == {kind}
    graph = import_model(target, simplify=False)
    for item in done.layers:
        weight = engine_weight(item, graph)
        assert weight is not None
        assert np.array_equal(np.sort(weight.reshape(-1)), np.sort(item.weight.codes.reshape(-1)))
    shapes = {item.name: item.dims for item in onnx.load(target).graph.initializer}
    assert all(len(shapes[item.stored]) >= 2 for item in done.layers)


def test_zeros_reach_the_file(tmp_path: Path) -> None:
    path, samples = made(conv_net, tmp_path)
    done, target = written(path, samples, Options(bits=8, pattern=pattern("2:4", 16, 16)))
    assert [round(item.kept, 2) for item in done.layers] == [0.5] * 4
    first = onnx.numpy_helper.to_array(
        next(i for i in onnx.load(target).graph.initializer if i.name == done.layers[0].stored)
    )
    assert ((first.reshape(8, 4, 9) != 0).sum(axis=1) <= 2).all()


def test_ends_stay_as_they_are(tmp_path: Path) -> None:
    path, samples = made(conv_net, tmp_path)
    before = import_model(path).operators[0]
    done, target = written(path, samples, Options(bits=4, keep_ends=True))
    assert import_model(target).operators[0] == before
    whole, target = written(path, samples, Options(bits=4))
    assert import_model(target).operators[0] != before
    assert [item.layer.name for item in done.layers] == [
        item.layer.name for item in whole.layers[1:-1]
    ]


def test_mixed_precision_is_better_than_uniform(tmp_path: Path) -> None:
    path, samples = made(conv_net, tmp_path)
    _, uniform = written(path, samples, Options(bits=3))
    uniform_loss = loss(path, uniform, samples)

    def some_more(layers: tuple) -> Budget:
        return Budget(
            limit=35 * sum(item.weight.size for item in layers) // 10,
            unit="weight bits",
            cost=lambda item, bits: item.weight.size * bits,
        )

    done, mixed = written(path, samples, Options(bits=None, budget=some_more))
    assert len({item.wanted.bits for item in done.layers}) > 1
    assert loss(path, mixed, samples) > uniform_loss


def test_the_rest_of_a_network_stays(tmp_path: Path) -> None:
    """A depthwise layer and activations keep codes and scales; names, too."""
    path, samples = made(line_net, tmp_path)
    done, target = written(path, samples, Options(bits=4))
    before, after = import_model(path), import_model(target)
    assert before.operators[-1] == after.operators[-1]
    assert [t.scale for t in before.tensors] == [t.scale for t in after.tensors]
    assert [op.name for op in before.operators] == [op.name for op in after.operators]
    assert len(done.layers) == 1


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    path, samples = made(matmul_net, tmp_path)
    _, target = written(path, samples, Options(bits=3))
    first = target.read_bytes()
    written(path, samples, Options(bits=3))
    assert target.read_bytes() == first


def test_a_network_without_layers(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.q(net.input("x", ["n", 4, 6], "float32"), 0.1, 0), 0.1, 0)
    codes = net.constant(np.ones((4, 1, 3)), "int8")
    y = net.node("Conv", x, net.dq(codes, 0.1, 0), group=4)
    net.output(net.dq(net.q(y, 0.1, 0), 0.1, 0), 3, "float32")
    with pytest.raises(ModelError) as caught:
        compress(
            standard(net.save(tmp_path)), {"x": np.zeros((32, 4, 6), np.float32)}, Options(bits=4)
        )
    assert str(caught.value) == (
        "no layer with weights can be compressed ('conv3': depthwise: the vector unit multiplies "
        "by 8 bits)"
    )


def test_fixed_bits_beyond_the_budget(tmp_path: Path) -> None:
    path, samples = made(matmul_net, tmp_path)
    small = Budget(limit=100, unit="weight bits", cost=lambda item, bits: item.weight.size * bits)
    with pytest.raises(FitError) as caught:
        compress(standard(path), {"x": samples}, Options(bits=4, budget=lambda _: small))
    assert str(caught.value) == (
        "a budget of 100 weight bits is out of reach: the least possible here is 720"
    )
    narrow = Budget(limit=10**6, unit="LUTs", cost=small.cost, most_bits=3)
    with pytest.raises(FitError) as caught:
        compress(standard(path), {"x": samples}, Options(bits=4, budget=lambda _: narrow))
    assert str(caught.value) == (
        "weights of 4 bits are beyond the budget, which has room for 3 bits"
    )


def test_inputs_that_never_change(tmp_path: Path) -> None:
    path, samples = made(conv_net, tmp_path)
    _, target = written(path, np.zeros_like(samples), Options(bits=4))
    (before,) = run_onnx(path, {"x": np.zeros_like(samples[:2])})
    (after,) = run_onnx(target, {"x": np.zeros_like(samples[:2])})
    assert np.allclose(before, after, atol=1.0)


def test_nothing_to_do(tmp_path: Path) -> None:
    path, samples = made(matmul_net, tmp_path)
    model, inputs = standard(path), {"x": samples}
    with pytest.raises(ConfigError) as plain:
        compress(model, inputs, Options(bits=8))
    assert str(plain.value) == (
        "all layers keep their 8 bits and no weight becomes zero: ask for fewer bits, a smaller "
        "budget or a pattern of zeros"
    )
    with pytest.raises(ModelError) as ends:
        compress(model, inputs, Options(bits=4, keep_ends=True))
    assert str(ends.value) == (
        "nothing lies between the first and the last layer with weights ('matmul3' and 'matmul10')"
    )
