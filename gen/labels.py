"""Class labels beside the samples of a data file."""

from pathlib import Path

import numpy as np

from weft.errors import ConfigError
from weft.gen.npz import members


def load_labels(path: Path, name: str, count: int) -> np.ndarray:
    """int64 [count] of an .npz file's array [n] or [n, 1] of whole numbers. Raises ConfigError."""
    arrays = members(path)
    if name not in arrays:
        raise ConfigError(
            f"{path} has no array {name!r} for the labels; it has: {', '.join(arrays) or 'none'}"
        )
    array = arrays[name].read()
    if array.shape not in ((count,), (count, 1)):
        raise ConfigError(
            f"{path}: labels {name!r} have shape {list(array.shape)}; one for each of the "
            f"{count} samples is needed"
        )
    whole = np.rint(array)
    if not np.array_equal(whole, array):
        raise ConfigError(f"{path}: labels {name!r} must be whole numbers, the classes' places")
    return whole.astype(np.int64).reshape(-1)
