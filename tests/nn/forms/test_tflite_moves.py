"""TFLite operators that move or stretch images: the codes that TFLite's own kernels give."""

from typing import Any

import numpy as np
import pytest

from tests.nn.forms.test_tflite import CODES, imported, tensor
from weft.errors import ModelError
from weft.nn.forms import tflite
from weft.nn.forms.tflite_file import TfModel, TfOperator
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model


def integers(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def moved(
    monkeypatch: pytest.MonkeyPatch,
    op: str,
    given: list[np.ndarray],
    wanted: np.ndarray,
    options: dict[str, Any] | None = None,
    first: int = 0,
    codes: np.ndarray = CODES,
) -> None:
    """The operator's codes; its constants stand around the image, which is input ``first``."""
    inputs = list(range(1, len(given) + 1))
    inputs.insert(first, 0)
    constants = [tensor(f"c{i}", x.shape, array=x) for i, x in enumerate(given)]
    output = tensor("y", (1, *wanted.shape[1:]))
    graph = imported(
        monkeypatch,
        [tensor("x", (1, *codes.shape[1:])), *constants, output],
        [(op, tuple(inputs), len(given) + 1, options or {})],
    )
    (got,) = reference_model(graph, {"x": codes}).values()
    np.testing.assert_array_equal(got, wanted)


THIN = [(4, 5, 1), (4, 4, 1), (1, 5, 1), (4, 1, 1), (1, 5, 3), (4, 1, 3)]
"""Sizes in NHWC of which NCHW has the same elements in the same order."""


@pytest.mark.parametrize("size", THIN, ids=str)
def test_sizes_of_one(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int, int]) -> None:
    """Which axis is which does not follow from the order of the elements alone."""
    codes = np.random.default_rng(2).integers(-128, 128, (6, *size)).astype(np.int8)
    for sides in ([(1, 2), (0, 1), (0, 0)], [(0, 0), (1, 0), (0, 0)], [(0, 1), (0, 0), (1, 2)]):
        pads = [np.array([(0, 0), *sides], np.int32)]
        full = [(0, 0), *sides]
        wanted = np.pad(codes, full, constant_values=3)
        moved(monkeypatch, "PAD", pads, wanted, codes=codes)
        wanted = np.pad(codes, full, constant_values=-50)
        moved(monkeypatch, "PADV2", [*pads, np.array([-50], np.int8)], wanted, codes=codes)
    sides = [(0, 0), (1, 1), (0, 1), (0, 0)]
    wanted = np.pad(codes, sides, mode="symmetric")
    moved(monkeypatch, "MIRROR_PAD", [integers(*sides)], wanted, {"Mode": 1}, codes=codes)
    for axis in (axis for axis in (1, 2) if codes.shape[axis] > 1):
        begin = integers(*(int(i == axis) for i in range(4)))
        part = codes.take(range(1, codes.shape[axis]), axis)
        moved(monkeypatch, "SLICE", [begin, integers(-1, -1, -1, -1)], part, codes=codes)
        end, step = integers(1, *size), integers(1, 2, 1, 1)
        moved(monkeypatch, "STRIDED_SLICE", [begin, end, step], part[:, ::2], codes=codes)
        masks = {"ShrinkAxisMask": 1 << axis}
        given = [begin, end, integers(1, 1, 1, 1)]
        moved(monkeypatch, "STRIDED_SLICE", given, np.take(codes, 1, axis), masks, codes=codes)
        indices = integers(0, 0, codes.shape[axis] - 1)
        wanted = codes.take(indices, axis)
        moved(monkeypatch, "GATHER", [indices], wanted, {"Axis": axis}, codes=codes)
    wanted = codes.repeat(2, 1).repeat(3, 2)
    given = [integers(2 * size[0], 3 * size[1])]
    moved(monkeypatch, "RESIZE_NEAREST_NEIGHBOR", given, wanted, codes=codes)


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("size", THIN, ids=str)
def test_sizes_of_one_joined(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int, int], axis: int
) -> None:
    """A Concat with an image that has two of what the first one has one, and a convolution."""
    other = tuple(2 * n if i + 1 == axis else n for i, n in enumerate(size))
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-128, 128, (6, *s)).astype(np.int8) for s in (size, other))
    both = np.concatenate([a, b], axis)
    weight = rng.integers(-127, 128, (2, 1, 1, both.shape[3])).astype(np.int8)
    tensors = [
        tensor("a", (1, *size)),
        tensor("b", (1, *other)),
        tensor("both", (1, *both.shape[1:])),
        tensor("w", weight.shape, scale=0.01, zero=0, array=weight),
        tensor("y", (1, *both.shape[1:3], 2), scale=0.53, zero=1),
    ]
    operators = (
        TfOperator(
            name="both", op="CONCATENATION", inputs=(0, 1), outputs=(2,), options={"Axis": axis}
        ),
        TfOperator(name="y", op="CONV_2D", inputs=(2, 3), outputs=(4,)),
    )
    model = TfModel(tensors=tuple(tensors), operators=operators, inputs=(0, 1), outputs=(4,))
    monkeypatch.setattr(tflite, "read", lambda path: model)
    (got,) = reference_model(import_model("net.tflite"), {"a": a, "b": b}).values()
    acc = (both.astype(int) - 3) @ weight[:, 0, 0].T.astype(int)
    factor = np.float32(0.1) * np.float32(0.01) / np.float32(0.53)
    wanted = np.clip(np.rint(acc.astype(np.float32) * factor) + 1, -128, 127)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)], ids=str)
def test_means_of_one_channel(
    monkeypatch: pytest.MonkeyPatch, axes: tuple[int, ...], keep: bool
) -> None:
    codes = CODES[..., :1]
    wanted = np.rint((codes.astype(float) - 3).mean(axis=axes, keepdims=keep) * 0.1 / 0.037) + 3
    graph = imported(
        monkeypatch,
        [
            tensor("x", (1, 4, 6, 1)),
            tensor("axes", (len(axes),), array=integers(*axes)),
            tensor("y", (1, *wanted.shape[1:]), scale=0.037),
        ],
        [("MEAN", (0, 1), 2, {"KeepDims": keep})],
    )
    (got,) = reference_model(graph, {"x": codes}).values()
    np.testing.assert_array_equal(got, np.clip(wanted, -128, 127))


def test_parts_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, end, step = integers(0, 3, 1, 0), integers(0, 0, 6, 0), integers(1, -2, 2, 1)
    moved(monkeypatch, "SLICE", [integers(0, 1, 2, 1), integers(-1, 2, 3, 2)],
          CODES[:, 1:3, 2:5, 1:])  # fmt: skip
    masks = {"BeginMask": 9, "EndMask": 11}
    moved(monkeypatch, "STRIDED_SLICE", [begin, end, step], CODES[:, 3::-2, 1:6:2], masks)
    masks = {"BeginMask": 1, "EndMask": 1, "ShrinkAxisMask": 2}
    moved(monkeypatch, "STRIDED_SLICE", [integers(0, -1, 1, 0), integers(0, 0, 6, 3),
          integers(1, 1, 2, 1)], CODES[:, -1, 1:6:2], masks)  # fmt: skip
    masks = {"BeginMask": 1, "EndMask": 1, "Offset": True}  # ends count from the begins
    moved(monkeypatch, "STRIDED_SLICE", [integers(0, 1, -4, 0), integers(0, 2, 3, 2),
          integers(1, 1, 1, 1)], CODES[:, 1:3, -4:-1, :2], masks)  # fmt: skip


@pytest.mark.parametrize("op", ["SPLIT", "SPLIT_V"])
@pytest.mark.parametrize("axis", [1, 2, 3, -2])
def test_split(monkeypatch: pytest.MonkeyPatch, axis: int, op: str) -> None:
    size = CODES.shape[axis]
    sizes = [size // 2] * 2 if op == "SPLIT" and size % 2 == 0 else [1, size - 1]
    parts = np.split(CODES, [sizes[0]], axis=axis)
    inputs = (1, 0) if op == "SPLIT" else (0, 2, 1)
    constants = [
        tensor("axis", (), array=integers(axis)),
        tensor("sizes", (2,), array=integers(*sizes)),
    ]
    outputs = [tensor(f"y{i}", (1, *part.shape[1:])) for i, part in enumerate(parts)]
    tensors = [tensor("x", (1, *CODES.shape[1:])), *constants, *outputs]
    operator = TfOperator(name="y0", op=op, inputs=inputs, outputs=(3, 4))
    model = TfModel(tensors=tuple(tensors), operators=(operator,), inputs=(0,), outputs=(3, 4))
    monkeypatch.setattr(tflite, "read", lambda path: model)
    found = reference_model(import_model("net.tflite"), {"x": CODES})
    for name, part in zip(("y0", "y1"), parts, strict=True):
        np.testing.assert_array_equal(found[name], part)


def test_pads(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [(0, 0), (1, 2), (0, 3), (0, 0)]
    pads = [np.array(sides, np.int32)]
    moved(monkeypatch, "PAD", pads, np.pad(CODES, sides, constant_values=3))
    value = np.array([-50], np.int8)
    moved(monkeypatch, "PADV2", [*pads, value], np.pad(CODES, sides, constant_values=-50))
    for number, mode in enumerate(("reflect", "symmetric")):
        wanted = np.pad(CODES, sides, mode=mode)  # pyright: ignore
        moved(monkeypatch, "MIRROR_PAD", pads, wanted, {"Mode": number})


def test_turned_picked_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    moved(monkeypatch, "REVERSE_V2", [integers(1, -1)], CODES[:, ::-1, :, ::-1])
    moved(monkeypatch, "GATHER", [integers(3, 0, 0)], CODES[:, :, [3, 0, 0]], {"Axis": 2})
    moved(monkeypatch, "TILE", [integers(1, 2, 1, 3)], np.tile(CODES, (1, 2, 1, 3)))


@pytest.mark.parametrize("size", [(8, 12), (2, 3), (4, 6), (7, 1), (1, 11)], ids=str)
@pytest.mark.parametrize("way", ["", "AlignCorners", "HalfPixelCenters"])
def test_resize(monkeypatch: pytest.MonkeyPatch, way: str, size: tuple[int, int]) -> None:
    """As ``reference_ops::GetNearestNeighbor`` has it."""
    places = []
    for after, before in zip(size, CODES.shape[1:3], strict=True):
        scale, x = before / after, np.arange(after)
        if way == "AlignCorners":
            scale = (before - 1) / (after - 1) if after > 1 else scale
            place = np.floor(x * scale + 0.5)
        else:
            place = np.floor((x + (0.5 if way else 0)) * scale)
        places.append(np.clip(place, 0, before - 1).astype(int))
    wanted = CODES[:, places[0]][:, :, places[1]]
    if size == CODES.shape[1:3]:
        return
    moved(monkeypatch, "RESIZE_NEAREST_NEIGHBOR", [integers(*size)], wanted, {way: True})


def test_lists_of_other_lengths_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for op, given, text in (
        ("SLICE", [integers(0, 1, 2), integers(1, 1, 1, 1)], "3, 4 numbers; 4 are needed"),
        ("STRIDED_SLICE", [integers(0), integers(1), integers(1)], "1, 1, 1 numbers; 4 are needed"),
        ("SPLIT_V", [integers(1, 2), integers(1)], "2 numbers; 1 are needed"),
    ):
        with pytest.raises(ModelError) as error:
            moved(monkeypatch, op, given, CODES)
        assert str(error.value) == f"node 'y' ({op}): constants of {text}"


@pytest.mark.parametrize("half", [False, True])
def test_resize_bilinear(monkeypatch: pytest.MonkeyPatch, half: bool) -> None:
    """Twice as large: each is a mean of up to four, some of them ties."""
    rows, cols = (np.arange(n * 2) / 2 - (0.25 if half else 0) for n in (4, 6))
    wanted = CODES.astype(float)
    for axis, places in ((1, rows), (2, cols)):
        last = CODES.shape[axis] - 1
        places = np.clip(places, 0, last)
        first = np.floor(places).astype(int)
        share = (places - first).reshape([-1 if i == axis else 1 for i in range(4)])
        after = np.minimum(first + 1, last)
        wanted = wanted.take(first, axis) * (1 - share) + wanted.take(after, axis) * share
    wanted = np.rint(wanted - 3) + 3  # half to even, counted from the zero point
    options = {"HalfPixelCenters": half}
    moved(monkeypatch, "RESIZE_BILINEAR", [integers(8, 12)], wanted.astype(np.int8), options)


def test_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = CODES.reshape(6, 2, 2, 3, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(6, 2, 3, 12)
    moved(monkeypatch, "SPACE_TO_DEPTH", [], blocks, {"BlockSize": 2})
    graph = imported(
        monkeypatch,
        [tensor("x", (1, 2, 3, 12)), tensor("y", (1, 4, 6, 3))],
        [("DEPTH_TO_SPACE", (0,), 1, {"BlockSize": 2})],
    )
    (got,) = reference_model(graph, {"x": blocks}).values()
    np.testing.assert_array_equal(got, CODES)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1,)], ids=str)
def test_prelu(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    slopes = np.array([5, -9, 13][: shape[-1]], np.int8).reshape(shape)
    x = (CODES.astype(np.float32) - 3) * np.float32(0.1)
    real = np.where(x >= 0, x, x * (slopes.astype(np.float32) - 3) * np.float32(0.1))
    wanted = np.clip(np.rint(real / np.float32(0.1)) + 3, -128, 127)
    moved(monkeypatch, "PRELU", [slopes], wanted)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)], ids=str)
def test_transpose_conv(
    monkeypatch: pytest.MonkeyPatch, stride: tuple[int, int], padding: int
) -> None:
    """As ``reference_ops::TransposeConv`` has it: each code scatters a kernel into the output."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-127, 128, (5, 3, 2, 3)).astype(np.int8)
    scale = rng.uniform(0.002, 0.01, 5).astype(np.float32)
    bias = rng.integers(-900, 900, 5).astype(np.int32)
    size = [n * s for n, s in zip((4, 6), stride, strict=True)]
    if padding == 1:
        size = [n + max(k - s, 0) for n, k, s in zip(size, (3, 2), stride, strict=True)]
    options = {"StrideH": stride[0], "StrideW": stride[1], "Padding": padding}
    graph = imported(
        monkeypatch,
        [
            tensor("x", (1, 4, 6, 3)),
            tensor("size", (4,), array=integers(1, *size, 5)),
            tensor("w", (5, 3, 2, 3), scale=scale, zero=0, array=weight),
            tensor("b", (5,), scale=np.float32(0.1) * scale, zero=0, array=bias),
            tensor("y", (1, *size, 5), scale=0.31, zero=-7),
        ],
        [("TRANSPOSE_CONV", (1, 2, 0, 3), 4, options)],
    )
    acc = np.zeros((6, size[0] + 9, size[1] + 9, 5), np.int64)
    cut = [max(k - s, 0) // 2 if padding == 0 else 0 for k, s in zip((3, 2), stride, strict=True)]
    for y, x, ky, kx in np.ndindex(4, 6, 3, 2):
        acc[:, y * stride[0] + ky, x * stride[1] + kx] += (CODES[:, y, x].astype(int) - 3) @ weight[
            :, ky, kx
        ].T.astype(int)
    acc = acc[:, cut[0] : cut[0] + size[0], cut[1] : cut[1] + size[1]] + bias
    factor = (np.float32(0.1) * scale) / np.float32(0.31)
    wanted = np.clip(np.rint(acc.astype(np.float32) * factor) - 7, -128, 127)
    (got,) = reference_model(graph, {"x": CODES}).values()
    np.testing.assert_array_equal(got, wanted)
