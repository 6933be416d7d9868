"""Damaged and absurd .npz files."""

import io
import os
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.damage import command
from tests.nn.fuzz import BYTEWISE

BUILD, GOOD = "build0", "inputs.npz"


def act(path: Path) -> str:
    """``weft reference`` on a file beside BUILD."""
    output = path.with_name("out.npz")
    options = ["--samples", "2"] if path.name.endswith("2.npz") else []
    words = ["reference", str(path.parent / BUILD), "--inputs", str(path), "-o", str(output)]
    return command.outcome([*words, *options])


def write(folder: Path, count: int, seed: int) -> list[Path]:
    """``count`` files beside BUILD, of every kind in turn."""
    rng = np.random.default_rng(seed)
    with np.load(folder / BUILD / GOOD) as file:
        arrays = dict(file)
    paths = []
    for number in range(count):
        path = folder / f"{number:05}.npz"
        KINDS[number % len(KINDS)](path, arrays, rng)
        paths.append(path)
    return paths


Arrays = dict[str, np.ndarray]
Kind = Callable[[Path, Arrays, np.random.Generator], None]


def _bytes(path: Path, arrays: Arrays, rng: np.random.Generator) -> None:
    """Any damage to the bytes of a good file."""
    buffer = io.BytesIO()
    save = np.savez if rng.random() < 0.5 else np.savez_compressed
    save(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    path.write_bytes(BYTEWISE[rng.integers(len(BYTEWISE))](buffer.getvalue(), rng))


def _tail(path: Path, arrays: Arrays, rng: np.random.Generator) -> None:
    """The central directory, where sizes, flags and methods are."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    data = bytearray(buffer.getvalue())
    start = data.rindex(b"PK\x01\x02") if rng.random() < 0.7 else 0
    for place in rng.integers(start, min(len(data), start + 100), rng.integers(1, 4)):
        data[place] = rng.choice([0, 1, 8, 12, 14, 99, 127, 255])
    path.write_bytes(data)


HEADERS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 1, 8, 8), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 1, 8, 8), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 1, 8, 8), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1e400, 8), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': 3, }",
    "{'descr': '<f4', 'fortran_order': 'no', 'shape': (3, 1, 8, 8), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (3, 1, 8, 8), }",
    "{'descr': '<f99', 'fortran_order': False, 'shape': (3, 1, 8, 8), }",
    "{'descr': '<U9999999999', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (3,), }",
    "{'descr': ('<f4', (1, 8, 8)), 'fortran_order': False, 'shape': (3,), }",
    "{'descr': [('', ('', ''))], 'fortran_order': False, 'shape': (3,), }",
    "{'descr': [[[[]]]], 'fortran_order': False, 'shape': (3,), }",
    "{'descr': {'a': 1}, 'fortran_order': False, 'shape': (3,), }",
    "{'descr': None, 'fortran_order': False, 'shape': (), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 1L, 8L, 8L), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 100 + "), }",
    "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (3, 1, 8, 8), }",
    "{'descr': '<f4', 'shape': (3, 1, 8, 8), }",
    "{'descr': '\\q<f4', 'fortran_order': False, 'shape': (3, 1, 8, 8), }",
    "{'descr': '''<f4",
    "{'descr': __import__('os'), 'fortran_order': False, 'shape': (3,)}",
    "(" * 3000,
    "[" * 90 + "]" * 90,
    "-" * 9000 + "1",
    "{" * 50,
    "\x00",
    "",
    " \t\n  x\n y",
    "f'{1}'",
    "0x",
    "1_",
)


def _header(path: Path, arrays: Arrays, rng: np.random.Generator) -> None:
    """A header that is a small program, or no program at all."""
    text = str(rng.choice(HEADERS))
    if rng.random() < 0.3:
        cut = int(rng.integers(0, len(text) + 1))
        text = text[:cut] + chr(int(rng.integers(1, 256))) + text[cut + 1 :]
    version = [(1, 0), (2, 0), (3, 0), (4, 9)][rng.choice(4, p=[0.6, 0.2, 0.1, 0.1])]
    raw = text.encode("latin1")
    size = struct.pack("<H" if version == (1, 0) else "<I", len(raw) % 65536)
    body = pickle.dumps(list(range(50))) if "|O" in text else bytes(3 * 64 * 4)
    _store(path, {"x.npy": b"\x93NUMPY" + bytes(version) + size + raw + body}, rng)


def _store(path: Path, members: dict[str, bytes], rng: np.random.Generator) -> None:
    methods = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    with zipfile.ZipFile(path, "w", methods[rng.integers(4)]) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _packed(path: Path, arrays: Arrays, rng: np.random.Generator) -> None:
    """Other methods than NumPy's, whose data are then damaged."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, next(iter(arrays.values())))
    _store(path, {"x.npy": buffer.getvalue()}, rng)
    if rng.random() < 0.7:
        path.write_bytes(BYTEWISE[rng.integers(len(BYTEWISE))](path.read_bytes(), rng))


def _values(path: Path, arrays: Arrays, rng: np.random.Generator) -> None:
    """Whole files with other arrays than the network's."""
    array = next(iter(arrays.values()))
    changes: list[np.ndarray] = [
        np.where(rng.random(array.shape) < 0.1, np.nan, array).astype(np.float32),
        np.where(rng.random(array.shape) < 0.1, np.inf, array).astype(np.float32),
        array.astype(rng.choice(["f2", "f8", "c8", "i8", "u1", "S3", "U2", "M8[s]", "?", ">f4"])),
        array.reshape(-1)[: rng.integers(0, 9)],
        array[:0],
        np.asfortranarray(array),
        np.array(3.0),
        np.array([{}, []], dtype=object),
        np.zeros((3, 2), dtype=[("a", "<f4")]),
        np.zeros(tuple(rng.integers(0, 3, rng.integers(0, 12)))),
    ]
    names = [next(iter(arrays)), "x", "", "a/b", "../x", "x" * 2000, "\ud83d\ude00".encode(
        "utf-16", "surrogatepass").decode("utf-16"), "file"]  # fmt: skip
    members = {}
    for name in rng.choice(len(names), rng.integers(1, 4)):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, changes[rng.integers(len(changes))])
        members[f"{names[name]}.npy"] = buffer.getvalue()
    _store(path, members, rng)


def _bomb(path: Path, arrays: Arrays, rng: np.random.Generator) -> None:
    """600 MB of zeros, or of nothing in particular, in half a megabyte; right shape or not."""
    array = next(iter(arrays.values()))
    n = 600_000_000 // (array[0].size * 4)
    shape = (n, *array.shape[1:]) if rng.random() < 0.7 else (n * array[0].size,)
    header = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    name = next(iter(arrays)) if rng.random() < 0.7 else "other"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array)
        if name == "other":
            archive.writestr(f"{next(iter(arrays))}.npy", buffer.getvalue())
        with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            file.write(header.getvalue())
            for _ in range(n * array[0].size * 4 // (1 << 22) + 1):
                file.write(bytes(1 << 22))


def _not_a_file(path: Path, arrays: Arrays, rng: np.random.Generator) -> None:
    """A folder, a pipe without an end, a loop, a device, a missing file, an empty one."""
    match rng.integers(8):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(path)
        case 3:
            path.symlink_to("/dev/zero")
        case 4:
            path.symlink_to("/nowhere/at/all")
        case 5:
            path.symlink_to("/dev/null")
        case 6:
            path.touch()
        case _:
            path.write_bytes(zlib.compress(bytes(100)))


def _many(path: Path, arrays: Arrays, rng: np.random.Generator) -> None:
    """Thousands of members, or one name many times."""
    same = rng.random() < 0.5
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # about names that come twice
        for i in range(int(rng.integers(100, 3000))):
            archive.writestr("x.npy" if same else f"{i}.npy", b"")


KINDS: tuple[Kind, ...] = (
    *(_bytes, _bytes, _bytes, _tail, _tail, _header, _header, _header, _packed, _values, _values),
    _not_a_file,
)  # fmt: skip
RARE: tuple[Kind, ...] = (_bomb, _many)
"""Slow to make: a few of each."""


def write_rare(folder: Path, each: int, seed: int) -> list[Path]:
    """Some of each rare kind, with and without --samples."""
    rng = np.random.default_rng(seed)
    with np.load(folder / BUILD / GOOD) as file:
        arrays = dict(file)
    paths = []
    for number in range(each):
        for kind in RARE:
            path = folder / f"{kind.__name__}{number}.npz"
            kind(path, arrays, rng)
            paths.append(path)
    return paths
