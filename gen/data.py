"""Data files: arrays by the names of a network's inputs."""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from weft import limits
from weft.errors import ConfigError
from weft.gen.npz import Member, members
from weft.gen.output import output_file
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import layout_hint


def load_inputs(path: Path, graph: Graph, samples: int | None = None) -> dict[str, np.ndarray]:
    """Arrays [n, ...] for every input of the network from an .npz file.

    An array is found by the input's name; a network with one input also takes the array ``x``, or
    the only one of the right shape. Other arrays (labels, inputs that nothing depends on) may be
    there. Numbers of another type are cast where that changes none of them (uint8 pixels, float64).
    ``samples`` keeps the first so many. Raises ConfigError.
    """
    return load_edges(path, graph.inputs, samples, graph.unused_inputs)


def load_edges(
    path: Path,
    inputs: Sequence[HostEdge],
    samples: int | None = None,
    unused: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """``load_inputs`` for these inputs. unused: names of arrays that belong to none of them."""
    limits.SAMPLES.check(samples)
    arrays = members(path)
    for name in unused:
        arrays.pop(name, None)
    edges = {edge.name: edge for edge in inputs}
    found = {name: _find(path, arrays, edge, len(edges) == 1) for name, edge in edges.items()}
    counts = {name: member.shape[0] for name, member in found.items()}
    if len(set(counts.values())) > 1:
        raise ConfigError(f"{path}: inputs have different numbers of samples: {counts}")
    available = next(iter(counts.values()))
    if samples is not None and samples > available:
        raise ConfigError(f"{path} has {available} samples, fewer than --samples {samples}")
    return {name: _cast(found[name], edge.dtype, samples) for name, edge in edges.items()}


def _find(path: Path, arrays: dict[str, Member], edge: HostEdge, alone: bool) -> Member:
    names = [edge.name, "x"] if alone else [edge.name]
    fitting = [n for n, a in arrays.items() if a.ndim > 0 and a.shape[1:] == edge.shape]
    if alone and len(fitting) == 1:
        names += fitting
    for name in names:
        if name in arrays:
            array = arrays[name]
            array.check()
            if array.shape == (0, *edge.shape):
                raise ConfigError(f"{path}: array {name!r} holds no samples")
            if array.ndim == 0 or array.shape[1:] != edge.shape:
                shape = ", ".join(["n", *map(str, edge.shape)])
                raise ConfigError(
                    f"{path}: array {name!r} has shape {list(array.shape)}, "
                    f"input {edge.name!r} needs [{shape}]{layout_hint(array.shape, edge)}"
                )
            return array
    raise ConfigError(
        f"{path} has no array for input {edge.name!r}; it has: {', '.join(arrays) or 'none'}"
    )


def _cast(member: Member, wanted: str, samples: int | None) -> np.ndarray:
    """The numbers as another type. Raises ConfigError with the first that it does not have."""
    array = member.read(samples)
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ConfigError(
            f"{member.path}: array {member.name!r} has the value {array[place]} at {list(place)}; "
            "finite numbers are needed"
        )
    if array.dtype == wanted or array.dtype.kind not in "fiub":
        return array  # other kinds of things are refused where inputs are encoded
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(wanted)
        changed = cast.astype(array.dtype) != array
    if changed.any():
        place = tuple(int(i) for i in np.argwhere(changed)[0])
        raise ConfigError(
            f"{member.path}: array {member.name!r} is {array.dtype} and has {array[place]} at "
            f"{list(place)}, which is no {wanted}; round it first: array.astype(np.{wanted})"
        )
    return cast


def random_inputs(graph: Graph, samples: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Codes int8 [n, C, H, W] over the whole range, by tensor name."""
    rng = np.random.default_rng(seed)
    return {
        edge.tensor: rng.integers(
            -128, 128, (samples, *graph.tensor(edge.tensor).shape), dtype=np.int8
        )
        for edge in graph.inputs
    }


def different(expected: dict[str, np.ndarray], actual: dict[str, np.ndarray]) -> list[str]:
    """One line for each output [n, ...] by name that is not the same in both, bit for bit."""
    lines = []
    for name, array in expected.items():
        wrong = np.flatnonzero(array != actual[name])
        if wrong.size:
            place = [int(i) for i in np.unravel_index(wrong[0], array.shape)]
            lines.append(
                f"output {name!r}: {wrong.size} of {array.size} values differ, first at "
                f"{place}: expected {array.flat[wrong[0]]}, got {actual[name].flat[wrong[0]]}"
            )
    return lines


def save_outputs(path: Path, outputs: dict[str, np.ndarray], inputs: Iterable[Path] = ()) -> None:
    """Write outputs by name to an .npz file, all or nothing; the first one also as ``y``.

    inputs: files that must not be overwritten. Raises ConfigError.
    """
    first = next(iter(outputs.values()))
    with output_file(path, inputs) as draft:
        _save(draft, {"y": first} | outputs)


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As np.savez_compressed does it, but with any names (an output may be called "file")."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
