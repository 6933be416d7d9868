"""Resize by the nearest element: equal to ONNX Runtime, bit for bit, in all of its ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.ops.move import Move
from weft.nn.onnx.importer import import_model

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
SCALES = (0.25, 1 / 3, 0.5, 1, 8 / 7, 1.5, 2, 16 / 7, 2.7, 3)


def compared(net: Net, folder: Path, shape: tuple[int, ...], dtype: str = "int8") -> Graph:
    path = net.save(folder)
    info = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(info.min, info.max + 1, (3, *shape[1:])).astype(dtype)
    graph = import_model(path)
    (found,) = reference_model(graph, {"x": x}).values()
    np.testing.assert_array_equal(found, run_onnx(path, {"x": x})[0])
    return graph


def sampled(net: Net, shape: tuple[int, ...], y: Callable[[str], str], dtype: str = "int8") -> Net:
    """Between two pools, since a Resize alone may have nothing to do."""
    x = net.dq(net.input("x", shape, dtype), 0.1, 3, dtype)
    pool = {"kernel_shape": [1] * (len(shape) - 2)}
    x = net.dq(
        net.q(net.node("MaxPool", x, **pool, strides=[1] * (len(shape) - 2)), 0.1, 3, dtype),
        0.1,
        3,
        dtype,
    )
    net.output(net.q(y(x), 0.1, 3, dtype), len(shape), dtype)
    return net


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("nearest", NEAREST)
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_equals_onnx_runtime(coordinates: str, nearest: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, NEAREST.index(nearest), COORDINATES.index(coordinates)])
    net, dtype = Net(opset=19), str(rng.choice(["int8", "uint8"]))
    channels, height, width = (int(n) for n in rng.integers(2, 9, 3))
    region = np.zeros(0)
    if coordinates == "tf_crop_and_resize":
        region = np.array([0, 0, *rng.uniform(-0.2, 0.5, 2), 1, 1, *rng.uniform(0.5, 1.2, 2)])
    sizes = ["", net.constant([1, channels, *rng.integers(1, 20, 2)], "int64")]
    if rng.random() < 0.5:
        scales = [next(s for s in rng.permutation(SCALES) if s * n >= 1) for n in (height, width)]
        sizes = [net.constant([1, 1, *scales], "float32")]

    def resized(x: str) -> str:
        return net.node(
            "Resize",
            x,
            net.constant(region, "float32"),
            *sizes,
            nearest_mode=nearest,
            coordinate_transformation_mode=coordinates,
            extrapolation_value=0.2,
        )

    shape = (1, channels, height, width)
    compared(sampled(net, shape, resized, dtype), tmp_path, shape, dtype)


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
@pytest.mark.parametrize("axes", [(2, 3), (3,), (3, 2), (1,)], ids=str)
def test_some_axes(axes: tuple[int, ...], policy: str, tmp_path: Path) -> None:
    net, shape = Net(opset=19), (1, 3, 5, 6)
    sizes = net.constant([7, 9][: len(axes)], "int64")

    def resized(x: str) -> str:
        return net.node("Resize", x, "", "", sizes, axes=axes, keep_aspect_ratio_policy=policy)

    compared(sampled(net, shape, resized), tmp_path, shape)


@pytest.mark.parametrize("opset", [10, 11, 13])
@pytest.mark.parametrize("scales", [(2.0, 3.0), (0.5, 0.4)], ids=str)
def test_older_opsets(scales: tuple[float, float], opset: int, tmp_path: Path) -> None:
    net, shape = Net(opset=opset), (1, 3, 5, 6)
    wanted = net.constant([1, 1, *scales], "float32")
    region = [] if opset == 10 else [net.constant([], "float32")]
    compared(sampled(net, shape, lambda x: net.node("Resize", x, *region, wanted)), tmp_path, shape)


def test_of_what_is_not_quantised_yet(tmp_path: Path) -> None:
    """PyTorch 2 export quantises at the end of an island only."""
    rng, net, shape = np.random.default_rng(0), Net(), (1, 3, 4, 5)
    x = net.dq(net.input("x", shape), 0.1, 3)
    weight = net.dq(net.constant(rng.integers(-99, 100, (4, 3, 3, 3)), "int8"), 0.0137, 0)
    y = net.node("Relu", net.node("Conv", x, weight))
    y = net.node("Resize", y, "", net.constant([1, 1, 3, 2], "float32"))
    net.output(net.q(net.node("Clip", y, "", net.constant(3.0, "float32")), 0.0931, -9), 4)
    path = net.save(tmp_path)
    x = rng.integers(-128, 128, (3, *shape[1:])).astype(np.int8)
    graph = import_model(path)
    assert [op.type for op in graph.operators] == ["Conv", "Move"]
    (found,) = reference_model(graph, {"x": x}).values()
    np.testing.assert_array_equal(found, run_onnx(path, {"x": x})[0])


def test_of_a_line(tmp_path: Path) -> None:
    net, shape = Net(), (1, 3, 7)
    scales = net.constant([1, 1, 2], "float32")
    compared(sampled(net, shape, lambda x: net.node("Resize", x, "", scales)), tmp_path, shape)


def test_codes_of_an_image_with_channels_last(tmp_path: Path) -> None:
    net, shape = Net(), (1, 3, 4, 5)
    scales = net.constant([1, 2, 3, 1], "float32")

    def resized(x: str) -> str:
        y = net.node("Transpose", net.q(x, 0.1, 3), perm=[0, 2, 3, 1])
        y = net.dq(net.node("Resize", y, "", scales), 0.1, 3)
        return net.node("Transpose", y, perm=[0, 3, 1, 2])

    graph = compared(sampled(net, shape, resized), tmp_path, shape)
    assert sum(isinstance(op, Move) for op in graph.operators) == 1


BY_TWO = [
    ((5, 6), (10, 12)),
    ((4, 4), (16, 8)),
    ((8, 6), (4, 3)),
    ((2, 2), (16, 16)),
    ((3,), (12,)),
]
BY_THREE = [((5, 6), (15, 6)), ((9, 4), (3, 4)), ((1, 3), (3, 9)), ((7, 2), (7, 6))]
CORNERS = [((5, 4), (9, 7)), ((9, 5), (3, 3)), ((2, 9), (9, 9)), ((3,), (9,))]
THIRDS = [((5, 4), (9, 10)), ((7, 4), (3, 4)), ((1, 4), (3, 10))]
LINEAR = [
    *(("align_corners", *sizes, True) for sizes in CORNERS),
    *(("align_corners", *sizes, False) for sizes in THIRDS),
    *((mode, *sizes, True) for sizes in BY_TWO for mode in ("half_pixel", "asymmetric")),
    *((mode, *sizes, False) for sizes in BY_THREE for mode in ("pytorch_half_pixel", "asymmetric")),
]


@pytest.mark.parametrize(("coordinates", "before", "after", "exact"), LINEAR, ids=str)
def test_linear(
    coordinates: str,
    before: tuple[int, ...],
    after: tuple[int, ...],
    exact: bool,
    tmp_path: Path,
) -> None:
    """ONNX Runtime computes in float: the same where that is exact, else but for (near) ties."""
    for scale, most in ((0.125, 0.0 if exact else 0.05), (0.0731, 0.005)):
        net, rank = Net(opset=19), 2 + len(before)
        x = net.dq(net.input("x", (1, 3, *before)), 0.125, 3)
        sizes = net.constant([1, 3, *after], "int64")
        y = net.node(
            "Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode=coordinates
        )
        net.output(net.q(net.node("Relu", y), scale, -7), rank)
        path = net.save(tmp_path)
        x = np.random.default_rng(0).integers(-128, 128, (9, 3, *before)).astype(np.int8)
        (found,) = reference_model(import_model(path), {"x": x}).values()
        apart = np.abs(found.astype(int) - run_onnx(path, {"x": x})[0])
        assert apart.max() <= 1
        assert np.count_nonzero(apart) <= most * apart.size


SIZES = "constant scales or sizes, one for each of [0, 1, 2, 3], are needed"
REFUSED: dict[str, tuple[dict[str, Any], list[Any], str]] = {
    "cubic": (
        {"mode": "cubic"},
        [1, 1, 2, 2],
        "mode 'cubic' with coordinates 'half_pixel', cubic_coeff_a = -0.75 is not supported; modes "
        "'nearest' and 'linear' without antialias are",
    ),
    "cubic with a coefficient": (
        {
            "mode": "cubic",
            "cubic_coeff_a": -0.5,
            "coordinate_transformation_mode": "align_corners",
        },
        [1, 1, 2, 2],
        "mode 'cubic' with coordinates 'align_corners', cubic_coeff_a = -0.5 is not supported; "
        "modes 'nearest' and 'linear' without antialias are",
    ),
    "antialias": (
        {"antialias": 1},
        [1, 1, 2, 2],
        "mode 'nearest' with coordinates 'half_pixel', nearest_mode 'round_prefer_floor', "
        "antialias = 1 is not supported; modes 'nearest' and 'linear' without antialias are",
    ),
    "linear by no whole factor": (
        {"mode": "linear"},
        [1, 1, 1.75, 1],
        "mode 'linear' from 4 to 7 with coordinates 'half_pixel', which is by 7/4; whole factors "
        "are supported, or mode 'nearest'",
    ),
    "linear with corners": (
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        [1, 1, 2, 2],
        "mode 'linear' from 4 to 8 with coordinates 'align_corners', which is by 7/3; whole "
        "factors are supported, or mode 'nearest'",
    ),
    "linear by a scale that gives another size": (
        {"mode": "linear"},
        [1, 1, 2.1, 1],
        "mode 'linear' from 4 to 8 with coordinates 'half_pixel', which is by 2.1; whole factors "
        "are supported, or mode 'nearest'",
    ),
    "linear by too much": (
        {"mode": "linear"},
        [1, 1, 16, 16],
        "mode 'linear' from [4, 5] to [64, 80] with coordinates 'half_pixel'; by up to 8 in both "
        "directions, or down in both, is supported",
    ),
    "linear up and down": (
        {"mode": "linear"},
        [1, 1, 0.5, 2],
        "mode 'linear' from [4, 5] to [2, 10] with coordinates 'half_pixel'; by up to 8 in both "
        "directions, or down in both, is supported",
    ),
    "linear along the channels": (
        {"mode": "linear"},
        [1, 2, 1, 1],
        "mode 'linear' of shape [1, 3, 4, 5] with coordinates 'half_pixel'; of height and width "
        "with half_pixel, half_pixel_symmetric, pytorch_half_pixel, asymmetric, align_corners is "
        "supported",
    ),
    "coordinates": (
        {"coordinate_transformation_mode": "odd"},
        [1, 1, 2, 2],
        "attribute 'coordinate_transformation_mode' is 'odd'; half_pixel, half_pixel_symmetric, "
        "pytorch_half_pixel, align_corners, asymmetric, tf_half_pixel_for_nn, tf_crop_and_resize "
        "are supported",
    ),
    "nearest": (
        {"nearest_mode": "odd"},
        [1, 1, 2, 2],
        "attribute 'nearest_mode' is 'odd'; round_prefer_floor, round_prefer_ceil, floor, ceil are "
        "supported",
    ),
    "too few": ({}, [2, 2], SIZES),
    "nothing left": ({}, [1, 1, 0.1, 1], "resizes 4 to 0; 1 to 65536 is supported"),
    "batch": ({}, [2, 1, 1, 1], "resizes the batch; only dimensions behind it are supported"),
    "region": (
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
        [1, 1, 2, 2],
        "a region of 8 constants is needed",
    ),
}


def test_regions_that_are_none_are_refused(tmp_path: Path) -> None:
    net = Net(opset=18)
    x = net.dq(net.input("x", (1, 3, 4, 5)), 0.1, 3)
    region = net.constant([0, 0, 0, np.inf, 1, 1, 1, 1], "float32")
    y = net.node("Resize", x, region, net.constant([1, 1, 2, 2], "float32"),
                 coordinate_transformation_mode="tf_crop_and_resize")  # fmt: skip
    net.output(net.q(y, 0.1, 3), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == (
        "node 'resize1' (Resize): the region [inf, 1.0] is not one of finite numbers"
    )


@pytest.mark.parametrize("scale", [np.inf, -np.inf, np.nan, 3e38, 1e-45, -1.0])
def test_absurd_scales_are_refused(scale: float, tmp_path: Path) -> None:
    net = Net(opset=18)
    x = net.dq(net.input("x", (1, 3, 4, 5)), 0.1, 3)
    for mode in ("nearest", "linear"):
        y = net.node("Resize", x, "", net.constant([1, 1, scale, 1], "float32"), mode=mode)
    net.output(net.q(y, 0.1, 3), 4)
    with pytest.raises(ModelError, match="resizes 4 to"):
        import_model(net.save(tmp_path))


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    attributes, scales, text = REFUSED[case]
    net = Net(opset=18)
    x = net.dq(net.input("x", (1, 3, 4, 5)), 0.1, 3)
    y = net.node("Resize", x, "", net.constant(scales, "float32"), **attributes)
    net.output(net.q(y, 0.1, 3), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == f"node 'resize1' (Resize): {text}"


def test_sizes_at_run_time_are_refused(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", (1, 3, 4, 5)), 0.1, 3)
    y = net.node("Resize", x, "", "", net.input("sizes", (1, 4), "int8"))
    net.output(net.q(y, 0.1, 3), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == (
        "node 'resize1' (Resize): input 'sizes' is computed at run time; export with fixed sizes"
    )
