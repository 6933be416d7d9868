"""Data files: arrays by the names of a network's inputs."""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.nn import limits
from weft.nn.errors import ConfigError
from weft.nn.graph import Graph, HostEdge

UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for files that are damaged or something else."""


def load_inputs(path: Path, graph: Graph, samples: int | None = None) -> dict[str, np.ndarray]:
    """Arrays [n, ...] for every input of the network from an .npz file.

    An array is found by the input's name; a network with one input also takes the array ``x``, or
    the only one of the right shape. ``samples`` keeps the first so many. Raises ConfigError.
    """
    return load_edges(path, graph.inputs, samples)


def load_edges(
    path: Path, inputs: Sequence[HostEdge], samples: int | None = None
) -> dict[str, np.ndarray]:
    """``load_inputs`` for these inputs."""
    limits.SAMPLES.check(samples)
    arrays = _load(path)
    edges = {edge.name: edge for edge in inputs}
    found = {name: _find(path, arrays, edge, len(edges) == 1) for name, edge in edges.items()}
    counts = {name: len(array) for name, array in found.items()}
    if len(set(counts.values())) > 1:
        raise ConfigError(f"{path}: inputs have different numbers of samples: {counts}")
    available = next(iter(counts.values()))
    if samples is not None and samples > available:
        raise ConfigError(f"{path} has {available} samples, fewer than --samples {samples}")
    return {name: array[:samples] for name, array in found.items()}


def _load(path: Path) -> dict[str, np.ndarray]:
    """As np.load does it, whose own object complains on stderr about damaged files."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as member:
                        array = np.lib.format.read_array(member, allow_pickle=False)
                    arrays[name.removesuffix(".npy")] = array
    except UNREADABLE as error:
        raise ConfigError(f"{path} is not a readable .npz file: {error}") from error
    return arrays


def _find(path: Path, arrays: dict[str, np.ndarray], edge: HostEdge, alone: bool) -> np.ndarray:
    names = [edge.name, "x"] if alone else [edge.name]
    fitting = [n for n, a in arrays.items() if a.ndim > 0 and a.shape[1:] == edge.shape]
    if alone and len(fitting) == 1:
        names += fitting
    for name in names:
        if name in arrays:
            array = arrays[name]
            if array.shape == (0, *edge.shape):
                raise ConfigError(f"{path}: array {name!r} holds no samples")
            if array.ndim == 0 or array.shape[1:] != edge.shape:
                shape = ", ".join(["n", *map(str, edge.shape)])
                raise ConfigError(
                    f"{path}: array {name!r} has shape {list(array.shape)}, "
                    f"input {edge.name!r} needs [{shape}]"
                )
            return array
    raise ConfigError(
        f"{path} has no array for input {edge.name!r}; it has: {', '.join(arrays) or 'none'}"
    )


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


def save_outputs(path: Path, outputs: dict[str, np.ndarray]) -> None:
    """Write outputs by name to an .npz file, all or nothing; the first one also as ``y``."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file for the outputs")
    first = next(iter(outputs.values()))
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(draft, {"y": first} | outputs)
        os.replace(draft, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As np.savez_compressed does it, but with any names (an output may be called "file")."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
