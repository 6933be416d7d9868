"""From a float model and a data file to a quantised model."""

from pathlib import Path

from weft.gen.data import load_edges
from weft.nn.host import encode
from weft.nn.quantise.static import float_inputs, quantise


def calibrated(
    model: Path, data: Path, target: Path, method: str, samples: int | None = None
) -> int:
    """Write the int8 form of a float model to a draft; returns the number of samples used.

    Raises ModelError for the model, ConfigError for the data.
    """
    edges = float_inputs(model)
    inputs = load_edges(data, edges, samples)
    for edge in edges:
        encode(edge, inputs[edge.name])  # refuses other types, and what is not finite
    quantise(model, inputs, target, method)
    return len(next(iter(inputs.values())))
