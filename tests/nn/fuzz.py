"""Damaged and absurd model files, and what importing them in a child with limits comes to."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from tests.damage import limits
from weft.errors import WeftError

ABSURD = (-(1 << 63), -1, 0, 1, 3, 1 << 16, (1 << 31) - 1, 1 << 40, (1 << 63) - 1)
SECONDS = 60  # per file, on a busy machine


def damaged(data: bytes, name: str, rng: np.random.Generator) -> bytes:
    """One damage, at random, to the bytes or (ONNX) to the structure of a file."""
    if name.endswith(".onnx") and rng.random() < 0.6:
        proto = onnx.ModelProto.FromString(data)
        for _ in range(rng.integers(1, 3)):
            STRUCTURE[rng.integers(len(STRUCTURE))](proto, rng)
        return proto.SerializeToString()
    return BYTEWISE[rng.integers(len(BYTEWISE))](data, rng)


def _truncated(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    result = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 20)):
        result[place] ^= 1 << rng.integers(8)
    return bytes(result)


def _head_changed(data: bytes, rng: np.random.Generator) -> bytes:
    """TFLite's tables and ONNX's first nodes are near an end of the file."""
    result, reach = bytearray(data), min(len(data), 3000)
    at_end = rng.random() < 0.5
    for place in rng.integers(0, reach, rng.integers(1, 6)):
        result[place - reach if at_end else place] = rng.choice([0, 1, 127, 128, 255])
    return bytes(result)


def _swapped(data: bytes, rng: np.random.Generator) -> bytes:
    """Two pieces exchanged, and perhaps one of them twice."""
    a, b = sorted(rng.integers(0, len(data), 2))
    n = int(rng.integers(1, 64))
    return data[:a] + data[b : b + n] + data[a + n : b] + data[a : a + n] + data[b + n :]


BYTEWISE = (_truncated, _flipped, _head_changed, _swapped)


def _pick(items: Any, rng: np.random.Generator) -> Any:
    return items[rng.integers(len(items))]


def _dims(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    port = _pick([*proto.graph.input, *proto.graph.output], rng)
    shape = port.type.tensor_type.shape
    if shape.dim and rng.random() < 0.8:
        _pick(shape.dim, rng).dim_value = _pick(ABSURD, rng)
    else:
        for _ in range(rng.integers(1, 9)):
            shape.dim.add().dim_value = _pick(ABSURD, rng)


def _constant_dims(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    tensor = _pick(proto.graph.initializer, rng)
    if tensor.dims and rng.random() < 0.7:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = _pick(ABSURD, rng)
    else:
        tensor.dims.append(_pick(ABSURD, rng))


def _constant_values(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    tensor = _pick(proto.graph.initializer, rng)
    try:
        array = numpy_helper.to_array(tensor).copy()
    except (ValueError, TypeError):  # damaged before
        return
    if array.dtype.kind == "f":
        array[...] = rng.choice(np.array([np.nan, np.inf, -np.inf, 0, -1, 1e-45, 3e38]))
    elif array.dtype == np.int64:
        array[...] = _pick(ABSURD, rng)
    else:
        array[...] = rng.choice([0, 1, 127])
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _type(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    kind = int(rng.integers(0, 30))
    if rng.random() < 0.5:
        _pick(proto.graph.initializer, rng).data_type = kind
    else:
        _pick(proto.graph.input, rng).type.tensor_type.elem_type = kind


def _attribute(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = _pick([n for n in proto.graph.node if n.attribute] or proto.graph.node, rng)
    if not node.attribute:
        return
    attribute = _pick(node.attribute, rng)
    value = _pick(ABSURD, rng)
    match rng.integers(4):
        case 0:
            attribute.i = value
        case 1 if attribute.ints:
            attribute.ints[rng.integers(len(attribute.ints))] = value
        case 2:
            attribute.ints.extend([value] * int(rng.integers(1, 5)))
        case _:
            attribute.type = int(rng.integers(0, 14))  # pyright: ignore[reportAttributeAccessIssue]


def _wiring(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    """Cycles, missing inputs, values read by the wrong one, results made twice."""
    node = _pick(proto.graph.node, rng)
    names = [name for item in proto.graph.node for name in (*item.input, *item.output)]
    match rng.integers(5):
        case 0 if node.input:
            node.input[rng.integers(len(node.input))] = _pick([*names, "", "nowhere"], rng)
        case 1 if node.input:
            del node.input[rng.integers(len(node.input))]
        case 2 if node.output:
            node.output[0] = _pick(names, rng)
        case 3:
            proto.graph.node.remove(node)
        case _:
            proto.graph.node.append(node)


def _operator(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    _pick(proto.graph.node, rng).op_type = _pick(proto.graph.node, rng).op_type


def _bare(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    """A file without something that every file has."""
    part = _pick(("input", "output", "initializer", "node"), rng)
    del getattr(proto.graph, part)[:]
    if part == "node" or rng.random() < 0.3:
        del proto.opset_import[:]
    if part == "output":
        proto.graph.output.add().name = "y"
        proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT


STRUCTURE_ALL = (
    _dims, _constant_dims, _constant_values, _type, _attribute, _wiring, _operator, _bare,
)  # fmt: skip


Change = Callable[[onnx.ModelProto, np.random.Generator], None]


def _whole(change: Change) -> Change:
    def safely(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
        if proto.graph.initializer and proto.graph.input and proto.graph.node:
            change(proto, rng)

    return safely


STRUCTURE = tuple(_whole(change) for change in STRUCTURE_ALL)


def outcome(path: Path) -> str:
    """ "imported", "refused", or the traceback of anything that is not a WeftError."""
    from weft.cli.check import check
    from weft.nn.onnx.importer import import_model

    text = "imported"
    for act in (lambda: import_model(path), lambda: check(path, None)):
        try:
            act()
        except WeftError as error:
            text = "refused" if str(error).strip() else "refused without a word"
        except Exception:  # noqa: BLE001 - this is what is looked for
            return traceback.format_exc()
    return text


def run_all(paths: list[Path], folder: Path) -> dict[str, str]:
    """What became of each file; "hung" or "died" where the child did not come back."""
    found = limits.run_all(outcome, paths, folder, SECONDS)
    return {name: came.text for name, came in found.items()}


def write(folder: Path, sources: list[Path], count: int, seed: int) -> list[Path]:
    """``count`` damaged files, the sources in turn."""
    rng, paths = np.random.default_rng(seed), []
    for number in range(count):
        source = sources[number % len(sources)]
        path = folder / f"{number:04}_{source.name}"
        path.write_bytes(damaged(source.read_bytes(), source.name, rng))
        paths.append(path)
    return paths


if __name__ == "__main__":  # python -m tests.nn.fuzz FOLDER COUNT SEED SOURCE...
    where = Path(sys.argv[1])
    made = write(where, [Path(name) for name in sys.argv[4:]], int(sys.argv[2]), int(sys.argv[3]))
    results = run_all(made, where)
    for name, text in results.items():
        if text not in ("imported", "refused"):
            print(name, text)
    print({text: list(results.values()).count(text) for text in ("imported", "refused")})
