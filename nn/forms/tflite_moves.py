"""TFLite operators that move or stretch images, as ONNX operators between Q and DQ."""

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.errors import ModelError
from weft.nn.forms.tflite_converter import SAME, TO_NCHW, Converter
from weft.nn.forms.tflite_file import TfOperator

REFLECT = 0
LAST = (1 << 62) - 1
Handler = Callable[[Converter, TfOperator], None]


def _transpose_conv(converter: Converter, operator: TfOperator) -> None:
    """What is cut at the ends follows from the output's size, which the file gives."""
    get = operator.options.get
    weights = converter.weights(operator, [3, 0, 1, 2], 1)
    kernel = converter.constant(operator, 1).shape[1:3]
    output = converter.model.tensors[operator.outputs[0]].shape
    size = converter.needed(operator, 2).shape
    if len(size) != 4 or len(output) != 4:
        raise ModelError(
            f"of shapes {list(size)} and {list(output)}", remedy="images are needed", at=operator
        )
    strides = [int(get("StrideH", 1)), int(get("StrideW", 1))]
    begins, ends = [], []
    for n, have, k, stride in zip(output[1:3], size[1:3], kernel, strides, strict=True):
        total = max((-(-n // max(stride, 1)) - 1) * stride + k - n, 0)
        begins.append(total // 2 if int(get("Padding", SAME)) == SAME else 0)
        ends.append(stride * (have - 1) + k - n - begins[-1])
    x = converter.node(operator, "Transpose", converter.read(operator, 2), perm=TO_NCHW)
    y = converter.node(
        operator,
        "ConvTranspose",
        *(x, weights, converter.bias(operator, 3)),
        strides=strides,
        pads=begins + [max(end, 0) for end in ends],
        output_padding=[max(-end, 0) for end in ends],
    )
    converter.write(operator, converter.image(operator, y))


def _resize(linear: bool) -> Handler:
    def handler(converter: Converter, operator: TfOperator) -> None:
        get = operator.options.get
        corners, half = bool(get("AlignCorners")), bool(get("HalfPixelCenters"))
        if corners and half:
            raise ModelError(
                "both align_corners and half_pixel_centers", remedy="one is supported", at=operator
            )
        coordinates = "half_pixel" if linear else "tf_half_pixel_for_nn"
        coordinates = "align_corners" if corners else coordinates if half else "asymmetric"
        size = converter.stored(f"{operator.name}/size", _integers(converter, operator, 1))
        x = converter.node(operator, "Transpose", converter.read(operator, 0), perm=TO_NCHW)
        y = converter.node(
            operator,
            "Resize",
            *(x, "", "", size),
            axes=[2, 3],
            mode=b"linear" if linear else b"nearest",
            coordinate_transformation_mode=coordinates.encode(),
            nearest_mode=b"round_prefer_ceil" if corners else b"floor",
        )
        converter.write(operator, converter.image(operator, y))

    return handler


def _pad(converter: Converter, operator: TfOperator) -> None:
    """PAD by 0, PADV2 by a constant."""
    value = [converter.read(operator, 2)] if operator.op == "PADV2" else []
    y = converter.node(
        operator, "Pad", converter.read(operator, 0), _sides(converter, operator), *value
    )
    converter.write(operator, y)


def _mirror_pad(converter: Converter, operator: TfOperator) -> None:
    mode = b"reflect" if int(operator.options.get("Mode", REFLECT)) == REFLECT else b"symmetric"
    x, sides = converter.read(operator, 0), _sides(converter, operator)
    converter.write(operator, converter.node(operator, "Pad", x, sides, mode=mode))


def _sides(converter: Converter, operator: TfOperator) -> str:
    """Pads of all dimensions, first the begins."""
    sides = _integers(converter, operator, 1)
    if sides.ndim != 2 or sides.shape[1] != 2:
        raise ModelError(
            f"paddings of shape {list(sides.shape)}", remedy="[n, 2] is needed", at=operator
        )
    return converter.stored(f"{operator.name}/pads", sides.T.reshape(-1))


def _reverse(converter: Converter, operator: TfOperator) -> None:
    axes = _integers(converter, operator, 1).reshape(-1)
    ends = [
        converter.stored(f"{operator.name}/{name}", np.full(len(axes), value, np.int64))
        for name, value in (("begins", -1), ("ends", -LAST))
    ]
    steps = converter.stored(f"{operator.name}/steps", np.full(len(axes), -1, np.int64))
    along = converter.stored(f"{operator.name}/axes", axes)
    x = converter.read(operator, 0)
    converter.write(operator, converter.node(operator, "Slice", x, *ends, along, steps))


def _gather(converter: Converter, operator: TfOperator) -> None:
    if operator.options.get("BatchDims", 0):
        raise ModelError("batch_dims is not supported", remedy="0 is", at=operator)
    indices = converter.stored(f"{operator.name}/indices", _integers(converter, operator, 1))
    axis, x = int(operator.options.get("Axis", 0)), converter.read(operator, 0)
    converter.write(operator, converter.node(operator, "Gather", x, indices, axis=axis))


def _tile(converter: Converter, operator: TfOperator) -> None:
    repeats = converter.stored(f"{operator.name}/repeats", _integers(converter, operator, 1))
    x = converter.read(operator, 0)
    converter.write(operator, converter.node(operator, "Tile", x, repeats))


def _slice(converter: Converter, operator: TfOperator) -> None:
    begins, sizes = _lists(converter, operator, (1, 2))
    ends = np.where(sizes < 0, LAST, begins + sizes)
    x = converter.read(operator, 0)
    converter.write(operator, _sliced(converter, operator, x, begins, ends, np.ones_like(begins)))


def _strided_slice(converter: Converter, operator: TfOperator) -> None:
    get = operator.options.get
    for name in ("EllipsisMask", "NewAxisMask"):
        if get(name, 0):
            raise ModelError(f"{name} is not supported", remedy="name all dimensions", at=operator)
    begins, ends, steps = _lists(converter, operator, (1, 2, 3))
    bits = 1 << np.arange(len(begins))
    single = (int(get("ShrinkAxisMask", 0)) & bits) > 0
    forward = steps > 0
    begins = np.where(int(get("BeginMask", 0)) & bits, np.where(forward, 0, LAST), begins)
    if get("Offset", False):
        ends = ends + _places(begins, np.array(converter.needed(operator, 0).shape))
    ends = np.where(int(get("EndMask", 0)) & bits, np.where(forward, LAST, -LAST), ends)
    ends = np.where(single, np.where(begins == -1, LAST, begins + 1), ends)
    steps = np.where(single, 1, steps)
    y = _sliced(converter, operator, converter.read(operator, 0), begins, ends, steps)
    if single.any():
        shape = np.array(converter.model.tensors[operator.outputs[0]].shape, np.int64)
        y = converter.node(
            operator, "Reshape", y, converter.stored(f"{operator.name}/shape", shape)
        )
    converter.write(operator, y)


def _places(begins: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Where slices begin, counted from the front and inside."""
    return np.clip(np.where(begins < 0, begins + sizes, begins), 0, sizes - 1)


def _sliced(converter: Converter, operator: TfOperator, x: str, *parts: np.ndarray) -> str:
    begins, ends, steps = parts
    lists = (begins, ends, np.arange(len(begins)), steps)
    names = ("begins", "ends", "axes", "steps")
    stored = [
        converter.stored(f"{operator.name}/{name}", np.array(item, np.int64))
        for name, item in zip(names, lists, strict=True)
    ]
    return converter.node(operator, "Slice", x, *stored)


def _split(axis_place: int, x_place: int, sizes_place: int | None) -> Handler:
    def handler(converter: Converter, operator: TfOperator) -> None:
        (axes,) = _lists(converter, operator, (axis_place,), 1)
        axis = int(axes[0])
        sizes: Any = np.array(
            [_length(converter, operator, index, axis) for index in operator.outputs], np.int64
        )
        if sizes_place is not None:
            (sizes,) = _lists(converter, operator, (sizes_place,), len(operator.outputs))
        begins = np.concatenate([[0], np.cumsum(sizes)])
        x = converter.read(operator, x_place)
        for place in range(len(operator.outputs)):
            stored = [
                converter.stored(f"{operator.name}/{name}{place}", np.array([item], np.int64))
                for name, item in (
                    ("begin", begins[place]),
                    ("end", begins[place + 1]),
                    ("axis", axis),
                )
            ]
            converter.write(operator, converter.node(operator, "Slice", x, *stored), place=place)

    return handler


def _length(converter: Converter, operator: TfOperator, index: int, axis: int) -> int:
    shape = converter.model.tensors[index].shape
    if not -len(shape) <= axis < len(shape):
        raise ModelError(f"axis {axis} does not exist in {len(shape)} dimensions", at=operator)
    return shape[axis]


def _blocks(op: str) -> Handler:
    def handler(converter: Converter, operator: TfOperator) -> None:
        x = converter.node(operator, "Transpose", converter.read(operator, 0), perm=TO_NCHW)
        y = converter.node(operator, op, x, blocksize=int(operator.options.get("BlockSize", 0)))
        converter.write(operator, converter.image(operator, y))

    return handler


def _prelu(converter: Converter, operator: TfOperator) -> None:
    converter.constant(operator, 1)
    x, slope = converter.read(operator, 0), converter.read(operator, 1)
    converter.write(operator, converter.node(operator, "PRelu", x, slope))


def _lists(
    converter: Converter, operator: TfOperator, places: tuple[int, ...], count: int | None = None
) -> list[np.ndarray]:
    """Constant inputs of one length, ``count`` or the input's number of dimensions."""
    if count is None:
        count = len(converter.needed(operator, 0).shape)
    lists = [_integers(converter, operator, place).reshape(-1) for place in places]
    if any(len(item) != count for item in lists):
        lengths = ", ".join(str(len(item)) for item in lists)
        raise ModelError(
            f"constants of {lengths} numbers", remedy=f"{count} are needed", at=operator
        )
    return lists


def _integers(converter: Converter, operator: TfOperator, place: int) -> np.ndarray:
    return converter.constant(operator, place).astype(np.int64)


MOVES: dict[str, Handler] = {
    "DEPTH_TO_SPACE": _blocks("DepthToSpace"),
    "GATHER": _gather,
    "MIRROR_PAD": _mirror_pad,
    "PAD": _pad,
    "PADV2": _pad,
    "PRELU": _prelu,
    "RESIZE_BILINEAR": _resize(linear=True),
    "RESIZE_NEAREST_NEIGHBOR": _resize(linear=False),
    "REVERSE_V2": _reverse,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": _blocks("SpaceToDepth"),
    "SPLIT": _split(0, 1, None),
    "SPLIT_V": _split(2, 0, 1),
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE_CONV": _transpose_conv,
}
