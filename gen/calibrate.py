"""From a float model and a data file to a quantised model."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.gen.data import load_edges
from weft.nn.errors import ConfigError
from weft.nn.host import encode
from weft.nn.quantise.static import float_inputs, quantise


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a model was quantised with. inputs: float32 [n, ...] by name."""

    inputs: Mapping[str, np.ndarray]

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(next(iter(self.inputs.values())))


def calibrated(
    model: Path, data: Path, target: Path, method: str, samples: int | None = None
) -> Calibration:
    """Write the int8 form of a float model, all or nothing; returns what it was made with.

    Raises ModelError for the model, ConfigError for the data or the target.
    """
    if target.is_dir():
        raise ConfigError(f"{target} is a folder; name a file for the model")
    edges = float_inputs(model)
    inputs = load_edges(data, edges, samples)
    for edge in edges:
        encode(edge, inputs[edge.name])  # refuses other types, and what is not finite
    draft = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        quantise(model, inputs, draft, method)
        os.replace(draft, target)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return Calibration(inputs=inputs)
