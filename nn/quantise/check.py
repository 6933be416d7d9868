"""The checks that a quantised network has to pass before anything is written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from weft.errors import ModelError
from weft.nn.quantise.calibration import PERCENTILE
from weft.nn.quantise.mse import SHRINK
from weft.nn.quantise.names import Names
from weft.nn.quantise.runtime import Values
from weft.nn.quantise.scales import Scale
from weft.nn.quantise.verify import Off, Quantised, first_off, outside

ELEMENTS = 1 << 24  # of all tensors that are compared, over all samples together
MOST, MOST_FEEDS = 32, 4  # samples, and runs where the network's batch is fixed
ADVICE = "quantise it with another tool and give weft the quantised file"


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What the network was calibrated with.

    inputs: float32 [n, ...] by private name; batch: None where the network leaves it free.
    """

    inputs: Mapping[str, np.ndarray]
    batch: int | None
    method: str

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))

    def feeds(self, most: int) -> list[Values]:
        """At most ``most`` samples, evenly spread, but one batch at the least."""
        size = self.batch or max(1, min(most, self.count))
        n_feeds = max(1, min(MOST_FEEDS, most // size))
        places = np.linspace(0, self.count - 1, n_feeds * size).astype(int)
        return [
            {name: array[some] for name, array in self.inputs.items()}
            for some in places.reshape(n_feeds, size)
        ]


def check(
    model: Path, original: onnx.ModelProto, quantised: Quantised, names: Names, samples: Samples
) -> None:
    """Raise ModelError, naming the first tensor that is off, where 8 bits do not explain it."""
    feeds = samples.feeds(min(MOST, ELEMENTS // max(_elements(quantised.plain), 1)))
    for feed in feeds:
        off = first_off(original, quantised, feed)
        if off is None:
            off = _too_narrow(original, quantised.scales, feed, samples)
        if off is not None:
            name = names.tensors.get(off.tensor, off.tensor)
            maker = names.makers.get(off.tensor, "")
            where = f" of node {maker!r}" if maker else ""
            if not math.isfinite(off.error) or math.isnan(off.allowed):
                raise ModelError(
                    f"tensor {name!r}{where} reaches numbers that are not finite once what it is "
                    f"computed from has 8 bits: {ADVICE}",
                    at=model,
                )
            raise ModelError(
                f"tensor {name!r}{where} would be off by {off.error:.3g} after quantisation, "
                f"where 8 bits explain {off.allowed:.3g}: {ADVICE}",
                at=model,
            )


def _elements(plain: onnx.ModelProto) -> int:
    """How many numbers the float tensors of one sample have, as far as that is known."""
    sizes = (
        [d.dim_value or 1 for d in item.type.tensor_type.shape.dim][1:]
        for item in plain.graph.value_info
    )
    return sum(math.prod(size) for size in sizes)


def _too_narrow(
    original: onnx.ModelProto, scales: Mapping[str, Scale], feed: Values, samples: Samples
) -> Off | None:
    """A tensor whose codes hold less than the method of choosing ranges would leave out."""
    share = samples.count / len(next(iter(feed.values())))
    for name, beyond in outside(original, scales, feed).items():
        step = float(scales[name].scale)
        allowed = _allowed(step, beyond, share, samples.method)
        if beyond.max(initial=0) > allowed:
            return Off(tensor=name, error=float(beyond.max()), allowed=allowed)
    return None


def _allowed(step: float, beyond: np.ndarray, share: float, method: str) -> float:
    """How far values may lie outside a range that was chosen by a method from all samples.

    share: how many times as many samples the range was chosen from as are looked at here.
    """
    if method == "percentile" and np.mean(beyond > step) <= 2 * share * (1 - PERCENTILE / 100):
        return math.inf
    if method == "mse":
        # What is left out costs no more than the whole range's steps would, at most this large.
        whole = step / float(SHRINK[0])
        if np.mean(np.square(beyond)) <= 2 * share * whole * whole / 12:
            return math.inf
    return step
