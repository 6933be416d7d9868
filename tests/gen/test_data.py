"""Inputs from .npz files and outputs to them."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.mapper.support import edge
from weft.errors import ConfigError
from weft.gen import data
from weft.gen.data import load_inputs, random_inputs, save_outputs
from weft.nn.ir.graph import Graph
from weft.nn.ir.tensor import Tensor


def graph(*shapes: tuple[int, ...]) -> Graph:
    """A network of float inputs ``a``, ``b``, ..."""
    names = "abc"[: len(shapes)]
    tensors = tuple(Tensor(name=n, shape=(1, 1, 2), scale=1.0, zero_point=0) for n in names)
    edges = tuple(
        edge(n).replace(shape=shape, dtype="float32")
        for n, shape in zip(names, shapes, strict=True)
    )
    return Graph(name="g", tensors=tensors, operators=(), inputs=edges, outputs=())


ONE, TWO = graph((2,)), graph((2,), (2,))


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """``npz(a=array)``: a file with these arrays."""

    def save(**arrays: Any) -> Path:
        np.savez(tmp_path / "in.npz", **arrays)
        return tmp_path / "in.npz"

    return save


A = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_by_name(npz: Callable[..., Path]) -> None:
    found = load_inputs(npz(b=A + 1, a=A, other=np.zeros(5)), TWO)
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], A)
    np.testing.assert_array_equal(found["b"], A + 1)


def test_one_input_also_goes_by_x_or_by_its_shape(npz: Callable[..., Path]) -> None:
    np.testing.assert_array_equal(load_inputs(npz(x=A, z=A + 1), ONE)["a"], A)
    np.testing.assert_array_equal(load_inputs(npz(images=A, labels=np.zeros(3)), ONE)["a"], A)
    np.testing.assert_array_equal(load_inputs(npz(a=A, x=A + 1), ONE)["a"], A)


def test_samples(npz: Callable[..., Path]) -> None:
    assert len(load_inputs(npz(a=A), ONE, 2)["a"]) == 2
    assert len(load_inputs(npz(a=A), ONE, 3)["a"]) == 3


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "float64", "float16", "bool"])
def test_numbers_of_another_type(npz: Callable[..., Path], dtype: str) -> None:
    array = np.array([[0, 1], [1, 100 if dtype != "bool" else 1]]).astype(dtype)
    found = load_inputs(npz(a=array), ONE)["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)


def test_numbers_that_another_type_does_not_have(npz: Callable[..., Path]) -> None:
    advice = "round it first: array.astype(np."
    assert refused(npz(a=np.array([[0.5, 1.0], [0.1, 2.0]])), ONE) == (
        f": array 'a' is float64 and has 0.1 at [1, 0], which is no float32; {advice}float32)"
    )
    assert refused(npz(a=np.array([[0, 2**24 + 1]])), ONE) == (
        f": array 'a' is int64 and has 16777217 at [0, 1], which is no float32; {advice}float32)"
    )
    codes = ONE.replace(inputs=(ONE.inputs[0].replace(dtype="uint8"),))
    whole = load_inputs(npz(a=np.array([[0.0, 255.0]])), codes)["a"]
    assert (whole.dtype, whole.tolist()) == (np.uint8, [[0, 255]])
    for array in (np.array([[0.0, 256.0]]), np.array([[7, -1]]), np.array([[1.0, 1e30]])):
        place = f"{array[0, 1]} at [0, 1], which is no uint8; {advice}uint8)"
        assert refused(npz(a=array), codes) == f": array 'a' is {array.dtype} and has {place}"
    words = np.array([["p", "q"]])
    assert refused(npz(a=words), ONE).endswith("array 'a' holds no plain numbers")


def test_inputs_that_nothing_depends_on(npz: Callable[..., Path]) -> None:
    """They are neither unknown nor taken for the input that counts."""
    network = ONE.replace(unused_inputs=("x", "mask"))
    found = load_inputs(npz(image=A, x=A + 1, mask=A + 2), network)
    np.testing.assert_array_equal(found["a"], A)
    assert refused(npz(x=A), network) == " has no array for input 'a'; it has: none"


def refused(path: Path, network: Graph, samples: int | None = None) -> str:
    """The error's text without the path."""
    with pytest.raises(ConfigError) as caught:
        load_inputs(path, network, samples)
    assert str(caught.value).startswith(f"{path}")
    return str(caught.value).removeprefix(f"{path}")


def test_refusals(npz: Callable[..., Path]) -> None:
    assert refused(npz(a=A), ONE, 4) == " has 3 samples, fewer than --samples 4"
    assert refused(npz(b=A), TWO) == " has no array for input 'a'; it has: b"
    assert refused(npz(), ONE) == " has no array for input 'a'; it has: none"
    assert refused(npz(p=A, q=A), ONE) == " has no array for input 'a'; it has: p, q"
    shape = "has shape [3, 1], input 'a' needs [n, 2]"
    assert refused(npz(a=A[:, :1]), ONE) == f": array 'a' {shape}"
    assert refused(npz(x=A[:, :1]), ONE) == f": array 'x' {shape}"
    assert refused(npz(a=A[:0]), ONE) == ": array 'a' holds no samples"
    assert refused(npz(a=np.float32(1)), ONE) == ": array 'a' has shape [], input 'a' needs [n, 2]"
    counts = ": inputs have different numbers of samples: {'a': 3, 'b': 2}"
    assert refused(npz(a=A, b=A[:2]), TWO) == counts


@pytest.mark.parametrize(
    ("shape", "wanted", "order"),
    [
        ((2, 5, 6, 3), (3, 5, 6), (0, 3, 1, 2)),
        ((2, 3, 5, 6), (5, 6, 3), (0, 2, 3, 1)),
        ((2, 7, 4), (4, 7), (0, 2, 1)),
        ((2, 6, 5, 3), (3, 5, 6), ()),  # height and width are exchanged, too
        ((2, 4), (5,), ()),
        ((), (5,), ()),
    ],
)
def test_the_other_layout(
    shape: tuple[int, ...],
    wanted: tuple[int, ...],
    order: tuple[int, ...],
    npz: Callable[..., Path],
) -> None:
    array, network = np.zeros(shape, np.float32), graph(wanted)
    needed = f"input 'a' needs [{', '.join(['n', *map(str, wanted)])}]"
    hint = f"; its channels are at the other end: array.transpose{order}" if order else ""
    assert refused(npz(a=array), network) == f": array 'a' has shape {list(shape)}, {needed}{hint}"
    if order:
        found = load_inputs(npz(a=array.transpose(order)), network)
        assert found["a"].shape[1:] == wanted


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_that_are_not_finite(value: float, dtype: type, npz: Callable[..., Path]) -> None:
    array = A.astype(dtype)
    array[1, 0] = value
    where = f": array 'a' has the value {value} at [1, 0]; finite numbers are needed"
    assert refused(npz(a=array), ONE) == where


def test_not_a_readable_file(tmp_path: Path, npz: Callable[..., Path]) -> None:
    missing = tmp_path / "no.npz"
    assert refused(missing, ONE) == ": cannot be read: No such file or directory"
    assert refused(tmp_path, ONE) == ": cannot be read: Is a directory"
    empty = tmp_path / "empty.npz"
    empty.touch()
    assert refused(empty, ONE) == " is not a readable .npz file: File is not a zip file"
    alone = tmp_path / "alone.npy"
    np.save(alone, A)
    assert refused(alone, ONE) == (
        " holds one array without a name (.npy); write an .npz file, in which the array has the "
        "input's name: np.savez(file, NAME=array)"
    )
    objects = npz(a=np.array([{}], dtype=object))
    assert refused(objects, ONE) == (
        " is not a readable .npz file: array 'a' holds no plain numbers"
    )


def zipped(path: Path, method: int, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_arrays_that_are_none(tmp_path: Path) -> None:
    path, good = tmp_path / "x.npz", npy(A)
    start = " is not a readable .npz file: array 'a' "
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        packed = zipped(path, method, a=good)
        assert refused(packed, ONE) == f"{start}is packed in another way than np.savez does it"
    stored = zipfile.ZIP_STORED
    short = f"{start}has not as many bytes as its shape says"
    assert refused(zipped(path, stored, a=good[:-1]), ONE) == short
    odd = good[:6] + b"\x07" + good[7:]
    assert refused(zipped(path, stored, a=odd), ONE) == f"{start}has a format that is not known"
    no_dict = good.replace(b"{", b"(", 1)
    assert refused(zipped(path, stored, a=no_dict), ONE).startswith(f"{start}is damaged: ")


def test_what_no_input_needs_is_not_read(tmp_path: Path) -> None:
    """Damaged members, and an array of 256 MB of which a few rows are wanted."""
    path = zipped(tmp_path / "x.npz", zipfile.ZIP_DEFLATED, a=npy(A), b=b"nonsense")
    np.testing.assert_array_equal(load_inputs(path, ONE)["a"], A)
    n = 1 << 25
    fields = {"descr": "<f4", "fortran_order": False, "shape": (n, 2)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.npy", "w") as file:
            np.lib.format.write_array_header_1_0(file, fields)
            for _ in range(n * 8 >> 20):
                file.write(bytes(1 << 20))
    assert refused(path, ONE) == (
        f": array 'a' would take {n * 8:,} bytes of memory, many times the file's size; keep fewer "
        "with --samples, or store it uncompressed, with np.savez"
    )
    assert load_inputs(path, ONE, 5)["a"].shape == (5, 2)


def test_damaged_files(tmp_path: Path) -> None:
    """Cut anywhere, or with any byte changed: an error of ours or the right shape, nothing else."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=A)
    good = buffer.getvalue()
    path = tmp_path / "damaged.npz"
    damaged = [good[:length] for length in range(0, len(good), 7)]
    damaged += [good[:i] + bytes([good[i] ^ 0x55]) + good[i + 1 :] for i in range(len(good))]
    n_refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            found = load_inputs(path, ONE)["a"]
        except ConfigError:
            n_refused += 1
        else:
            assert found.shape[1:] == (2,)
    assert n_refused > len(damaged) // 2


def test_other_members_are_left_alone(tmp_path: Path, npz: Callable[..., Path]) -> None:
    path = npz(a=A)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
    np.testing.assert_array_equal(load_inputs(path, ONE)["a"], A)
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("a", "hello")
    assert refused(tmp_path / "text.npz", ONE) == " has no array for input 'a'; it has: none"


def test_random_inputs() -> None:
    first = random_inputs(TWO, 500)
    assert {name: array.shape for name, array in first.items()} == {
        "a": (500, 1, 1, 2),
        "b": (500, 1, 1, 2),
    }
    assert (first["a"].min(), first["a"].max()) == (-128, 127)
    np.testing.assert_array_equal(first["a"], random_inputs(TWO, 500)["a"])
    assert not np.array_equal(first["a"], random_inputs(TWO, 500, seed=1)["a"])


def test_save_outputs(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.npz"
    save_outputs(path, {"file": A, "a/b:0": A + 1})
    with np.load(path) as found:
        assert sorted(found.files) == ["a/b:0", "file", "y"]
        np.testing.assert_array_equal(found["y"], A)
        np.testing.assert_array_equal(found["file"], A)
        np.testing.assert_array_equal(found["a/b:0"], A + 1)
    assert [item.name for item in path.parent.iterdir()] == ["out.npz"]


def test_save_outputs_refusals(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path, reason in (
        (tmp_path, "is a folder; name a file"),
        (tmp_path / "file" / "out.npz", "cannot be written: Not a directory"),
    ):
        with pytest.raises(ConfigError) as caught:
            save_outputs(path, {"y": A})
        assert str(caught.value) == f"{path} {reason}"
    assert (tmp_path / "file").read_text() == "mine"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_save_outputs_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, arrays: dict[str, np.ndarray]) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data, "_save", half)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        save_outputs(tmp_path / "out.npz", {"y": A})
    assert list(tmp_path.iterdir()) == []
