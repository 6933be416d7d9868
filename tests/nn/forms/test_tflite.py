"""TFLite files: the same graphs as their ONNX conversions, and own small models."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite as tflite_schema

from tests.nn.forms.tflite_writer import file
from weft.errors import ModelError
from weft.nn.forms import tflite
from weft.nn.forms.tflite_file import TfModel, TfOperator, TfTensor, read
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.host_steps import QuantizeStep
from weft.nn.onnx.importer import import_model

ModelFile = Callable[[str], Path]

OPERATOR_CODES = 6  # where a table of kind Model says where they are


def nameless(graph: Graph) -> list[Any]:
    """Operators and tensors in order, names replaced by numbers."""
    numbers = {tensor.name: str(i) for i, tensor in enumerate(graph.tensors)}
    found: list[Any] = [t.replace(name=numbers[t.name]) for t in graph.tensors]
    for operator in graph.operators:
        names = [f.name for f in dataclasses.fields(operator) if f.name in ("input", "a", "b")]
        renamed = {name: numbers[getattr(operator, name)] for name in names}
        if "parts" in {f.name for f in dataclasses.fields(operator)}:
            renamed["parts"] = tuple(numbers[part] for part in operator.inputs)  # pyright: ignore
        output = numbers[operator.output]
        found.append(operator.replace(name="", origins=(), output=output, **renamed))
    return found


@pytest.mark.parametrize("name", ["kws", "ic", "ad", "vww"])
def test_same_graph_as_the_onnx_conversion(model_file: ModelFile, name: str) -> None:
    """Weights, biases, factors, windows, scales and zero points, operator by operator."""
    ours = import_model(model_file(f"mlperf_tiny/{name}.tflite"), simplify=False)
    other = import_model(model_file(f"mlperf_tiny/{name}.onnx"), simplify=False)
    assert nameless(ours) == nameless(other)
    assert ours.macs == other.macs


def test_images_come_in_nhwc(model_file: ModelFile) -> None:
    """ic takes codes [n, 32, 32, 3] here and pixels [n, 3, 32, 32] in its ONNX conversion."""
    ours = import_model(model_file("mlperf_tiny/ic.tflite"))
    other = import_model(model_file("mlperf_tiny/ic.onnx"))
    x = np.load(model_file("mlperf_tiny/ic_data.npz"))["x"][:20]
    quantise = other.inputs[0].steps[-1]
    assert isinstance(quantise, QuantizeStep)
    codes = np.rint(x / np.float32(quantise.scale)) + quantise.zero_point
    codes = np.clip(codes, -128, 127).astype(np.int8).transpose(0, 2, 3, 1)
    (got,) = reference_model(ours, {ours.inputs[0].name: codes}).values()
    (wanted,) = reference_model(other, {other.inputs[0].name: x}).values()
    assert np.array_equal(got.argmax(1), wanted.argmax(1))


def test_no_other_exception_for_damaged_files(model_file: ModelFile, tmp_path: Path) -> None:
    data = model_file("mlperf_tiny/ad.tflite").read_bytes()
    structure = [*range(4096), *range(len(data) - 8192, len(data))]
    rng = np.random.default_rng(0)
    path = tmp_path / "net.tflite"
    refused = 0
    for turn in range(60):
        damaged = bytearray(data)
        for place in rng.choice(structure, rng.integers(1, 20)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged if turn % 6 else damaged[: rng.integers(0, len(data))])
        try:
            import_model(path, simplify=False)
        except ModelError:
            refused += 1
    assert refused > 10


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    for content, text in (
        (None, f"{path}: cannot be read: No such file or directory"),
        (b"", f"{path}: not a TFLite file, or a damaged one: no identifier TFL3"),
        (b"\x08\x00\x00\x00TFL3", f"{path}: not a TFLite file, or a damaged one: "),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelError) as error:
            import_model(path)
        assert str(error.value).startswith(text)


@pytest.mark.parametrize("encoding", ["old", "new", "both"])
def test_operator_codes_of_both_fields(tmp_path: Path, encoding: str) -> None:
    """TensorFlow takes the larger one: files of one field only are its own, before and after."""
    path = tmp_path / "net.tflite"
    operators = [("MUL", (0, 0)), ("HARD_SWISH", (1,)), ("ADD", (0, 2))]
    path.write_bytes(file((1, 2, 3, 4), operators, encoding))
    assert [op.op for op in read(path).operators] == ["MUL", "HARD_SWISH", "ADD"]
    path.write_bytes(file((1, 2, 3, 4), operators[:1], encoding))
    codes = CODES[:, :2, :3, [0, 1, 2, 0]]
    (got,) = reference_model(import_model(path), {"t0": codes}).values()
    wanted = np.rint((codes.astype(float) - 3) ** 2 * np.float32(0.1)) + 3
    np.testing.assert_array_equal(got, np.clip(wanted, -128, 127))


def test_an_operator_code_that_no_table_has(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    data = bytearray(file((1, 4), [("MUL", (0, 0)), ("ADD", (1, 0))], "both"))
    table = tflite_schema.Model.GetRootAs(data, 0)._tab
    data[table.Vector(table.Offset(OPERATOR_CODES)) - 4] = 1  # how many there are
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"an operator's code does not exist$"):
        read(path)


def test_sparse_tensors_are_refused(tmp_path: Path) -> None:
    """The order of their values is another one, even where none is left out."""
    path = tmp_path / "net.tflite"
    path.write_bytes(file((1, 4), [("ADD", (0, 0))], "both", sparse=True))
    with pytest.raises(ModelError) as error:
        read(path)
    assert str(error.value) == "tensor 't0' is stored as a sparse one; export dense weights"


def test_contents_behind_all_tables(tmp_path: Path) -> None:
    """As files have them that may be larger than 2 GB."""
    path, values = tmp_path / "net.tflite", np.arange(4, dtype=np.int8)
    begin = len(file((1, 4), [("ADD", (0, 0))], "both", outside=(2, 4)))
    data = file((1, 4), [("ADD", (0, 0))], "both", outside=(begin, 4))
    path.write_bytes(data + values.tobytes())
    array = read(path).tensors[0].array
    assert array is not None
    np.testing.assert_array_equal(array, [values])
    path.write_bytes(data)
    with pytest.raises(ModelError, match=f"4 bytes from {begin} on in a file of {begin}$"):
        read(path)


def test_an_operator_code_that_the_old_field_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    for encoding in ("new", "both"):
        path.write_bytes(file((1, 4), [("GELU", (0,))], encoding))
        with pytest.raises(
            ModelError, match=r"^node 't1' \(GELU\): operator GELU is not supported"
        ):
            import_model(path)


def tensor(
    name: str, shape: tuple[int, ...], scale: Any = 0.1, zero: int = 3, array: Any = None
) -> TfTensor:
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    return TfTensor(
        name=name,
        dtype="int8" if array is None else str(np.asarray(array).dtype),
        shape=shape,
        array=None if array is None else np.asarray(array),
        scale=scales,
        zero_point=np.full(scales.size, zero, np.int64),
        axis=0,
    )


def imported(
    monkeypatch: pytest.MonkeyPatch, tensors: list[TfTensor], operators: list[tuple[Any, ...]]
) -> Graph:
    """A network from the first tensor to the last one; operators: op, inputs, output, options."""
    made = [
        TfOperator(
            name=tensors[output].name, op=op, inputs=inputs, outputs=(output,), options=options
        )
        for op, inputs, output, options in operators
    ]
    model = TfModel(
        tensors=tuple(tensors), operators=tuple(made), inputs=(0,), outputs=(len(tensors) - 1,)
    )
    monkeypatch.setattr(tflite, "read", lambda path: model)
    return import_model("net.tflite")


CODES = np.random.default_rng(0).integers(-128, 128, (6, 4, 6, 3)).astype(np.int8)


def test_nhwc_flatten_in_front_of_a_dense_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dense layer's weights follow TFLite's order of the flattened image."""
    rng = np.random.default_rng(1)
    pool = {"Padding": 1, "StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 1}
    weight = rng.integers(-127, 128, (5, 54)).astype(np.int8)
    flat = np.array([1, 54], np.int32)
    graph = imported(
        monkeypatch,
        [
            tensor("x", (1, 4, 6, 3)),
            tensor("pooled", (1, 3, 6, 3)),
            tensor("shape", (2,), array=flat),
            tensor("flat", (1, 54)),
            tensor("w", (5, 54), scale=0.01, zero=0, array=weight),
            tensor("y", (1, 5), scale=1.0, zero=-7),
        ],
        [
            ("MAX_POOL_2D", (0,), 1, pool),
            ("RESHAPE", (1, 2), 3, {}),
            ("FULLY_CONNECTED", (3, 4), 5, {}),
        ],
    )
    pooled = np.maximum(CODES[:, :-1], CODES[:, 1:]).reshape(6, 54).astype(int)
    wanted = np.rint((pooled - 3) @ weight.T.astype(int) * (0.1 * 0.01)) - 7
    (got,) = reference_model(graph, {"x": CODES}).values()
    assert np.array_equal(got, np.clip(wanted, -128, 127))


def test_concat_mean_and_hard_swish_in_nhwc(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = imported(
        monkeypatch,
        [
            tensor("x", (1, 4, 6, 3)),
            tensor("curved", (1, 4, 6, 3), scale=0.09, zero=-124),
            tensor("both", (1, 4, 6, 6)),
            tensor("axes", (2,), array=np.array([1, 2], np.int32)),
            tensor("y", (1, 6), scale=0.05, zero=-2),
        ],
        [
            ("HARD_SWISH", (0,), 1, {}),
            ("CONCATENATION", (0, 1), 2, {"Axis": 3}),
            ("MEAN", (2, 3), 4, {"KeepDims": False}),
        ],
    )
    x = (CODES.astype(float) - 3) * np.float32(0.1)
    curved = np.rint(x * np.clip(x / 6 + 0.5, 0, 1) / np.float32(0.09)) - 124
    curved = (np.clip(curved, -128, 127) + 124) * np.float32(0.09)
    both = np.clip(np.rint(np.concatenate([x, curved], axis=3) / np.float32(0.1)), -131, 124)
    wanted = np.rint(both.mean(axis=(1, 2)) * np.float32(0.1) / np.float32(0.05)) - 2
    (got,) = reference_model(graph, {"x": CODES}).values()
    assert np.abs(got - np.clip(wanted, -128, 127)).max() <= 1  # exact ties of the mean
    assert np.mean(got != np.clip(wanted, -128, 127)) < 0.1


def test_gate_and_difference_in_nhwc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels come last, also in the gate."""
    graph = imported(
        monkeypatch,
        [
            tensor("x", (1, 4, 6, 3)),
            tensor("pooled", (1, 1, 1, 3)),
            tensor("gated", (1, 4, 6, 3), scale=0.37, zero=-20),
            tensor("axes", (2,), array=np.array([1, 2], np.int32)),
            tensor("y", (1, 4, 6, 3), scale=0.41, zero=7),
        ],
        [
            ("MEAN", (0, 3), 1, {"KeepDims": True}),
            ("MUL", (1, 0), 2, {}),
            ("SUB", (2, 0), 4, {"FusedActivationFunction": 1}),
        ],
    )
    kinds = [op.type for op in graph.operators]
    assert sorted(kinds) == ["Add", "AveragePool", "Mul"]
    x = (CODES.astype(float) - 3) * 0.1
    pooled = (np.rint(x.mean(axis=(1, 2), keepdims=True) / 0.1 + 3) - 3) * 0.1
    gated = np.clip(np.rint(x * pooled / 0.37) - 20, -128, 127)
    wanted = np.clip(np.rint(((gated + 20) * 0.37 - x) / 0.41) + 7, 7, 127)
    (got,) = reference_model(graph, {"x": CODES}).values()
    assert np.abs(got - wanted).max() <= 4  # a tie of the mean, times a code
    assert np.mean(got != wanted) < 0.1


REFUSED = {
    "mask": (
        [("STRIDED_SLICE", (0,), 1, {"NewAxisMask": 1})],
        "node 'y' (STRIDED_SLICE): NewAxisMask is not supported; name all dimensions",
    ),
    "batch_dims": (
        [("GATHER", (0,), 1, {"BatchDims": 1})],
        "node 'y' (GATHER): batch_dims is not supported; 0 is",
    ),
    "centres": (
        [("RESIZE_NEAREST_NEIGHBOR", (0,), 1, {"AlignCorners": True, "HalfPixelCenters": True})],
        "node 'y' (RESIZE_NEAREST_NEIGHBOR): both align_corners and half_pixel_centers; one is "
        "supported",
    ),
    "operator": (
        [("UNPACK", (0,), 1, {})],
        "node 'y' (UNPACK): operator UNPACK is not supported in TFLite files; replace it by "
        "supported operators (`weft ops` lists what is supported), or end the model in front of it",
    ),
    "activation": (
        [("ADD", (0, 0), 1, {"FusedActivationFunction": 4})],
        "node 'y' (ADD): fused activation 4 is not supported; RELU, RELU6 and RELU_N1_TO_1 are",
    ),
    "beta": (
        [("SOFTMAX", (0,), 1, {"Beta": 0.5})],
        "node 'y' (SOFTMAX): beta 0.5 is not supported; 1 is",
    ),
    "weights at run time": (
        [("FULLY_CONNECTED", (0, 0), 1, {})],
        "node 'y' (FULLY_CONNECTED): input 'x' is computed at run time; only constants are "
        "supported",
    ),
    "padding": (
        [("MAX_POOL_2D", (0,), 1, {"Padding": 7})],
        "node 'y' (MAX_POOL_2D): padding 7 is not known; SAME and VALID are",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    operators, text = REFUSED[case]
    tensors = [tensor("x", (1, 4, 6, 3)), tensor("y", (1, 4, 6, 3))]
    with pytest.raises(ModelError) as error:
        imported(monkeypatch, tensors, operators)
    assert str(error.value) == text


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_inputs_without_dimensions(monkeypatch: pytest.MonkeyPatch, op: str) -> None:
    bare = tensor("bare", (), array=np.array(1, np.int8))
    with pytest.raises(ModelError) as error:
        imported(monkeypatch, [bare, bare, tensor("y", (1, 1))], [(op, (0, 1), 2, {})])
    assert str(error.value) == f"node 'y' ({op}): an input has no dimensions"
