"""From a float model and a data file to a quantised model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.gen.data import load_edges
from weft.nn.ir.host import encode
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
    """Write the int8 form of a float model to a draft; returns what it was made with.

    Raises ModelError for the model, ConfigError for the data.
    """
    inputs = load_edges(data, float_inputs(model), samples)
    return calibrated_with(model, inputs, target, method)


def calibrated_with(
    model: Path, inputs: Mapping[str, np.ndarray], target: Path, method: str
) -> Calibration:
    """The same with the samples at hand."""
    for edge in float_inputs(model):
        encode(edge, inputs[edge.name])  # refuses other types, and what is not finite
    quantise(model, inputs, target, method)
    return Calibration(inputs=inputs)
