"""The range of every activation of a float network, from samples of its inputs.

ONNX Runtime runs the network and collects; the choice of a range by its error is ours.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, calibrate

from weft.nn.quantise.mse import mse_range

METHODS = ("minmax", "percentile", "mse")
"""How a range is chosen: all values seen, all but the outermost, or the smallest error."""

PERCENTILE = 99.99  # per cent of the values that the range holds, both ends together
N_BINS = 8191  # odd: 0 is in the middle of one
CHUNK = 16  # feeds whose intermediate results are in memory at one time

Ranges = dict[str, tuple[float, float]]


class Feeds(CalibrationDataReader):
    """Samples by input name, ``batch`` of them at a time; the last ones are repeated to fill up."""

    def __init__(self, inputs: Mapping[str, np.ndarray], batch: int) -> None:
        count = len(next(iter(inputs.values())))
        places = np.minimum(np.arange(-(-count // batch) * batch), count - 1)
        self._feeds = ({k: v[i] for k, v in inputs.items()} for i in places.reshape(-1, batch))

    def get_next(self) -> dict[str, np.ndarray]:
        """The next feed; an empty one ends the calibration."""
        return next(self._feeds, {})


class _Chunk(CalibrationDataReader):
    """Some of the feeds of another reader."""

    def __init__(self, feeds: Sequence[dict[str, np.ndarray]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray]:
        return next(self._feeds, {})


def whole_ranges(model: Path, inputs: Mapping[str, np.ndarray], batch: int) -> Ranges:
    """Lowest and highest value of each float tensor; not finite where the samples lead there.

    model: a float network with known shapes; inputs: float32 [n, ...] by input name.
    """
    with _quiet():
        return _minmax(model, Feeds(inputs, batch))


def chosen_ranges(
    model: Path, inputs: Mapping[str, np.ndarray], batch: int, ranges: Ranges, method: str
) -> Ranges:
    """What to represent of some ``whole_ranges``, all finite; the rest as in ``whole_ranges``."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if method == "minmax":
        return ranges
    with _quiet():
        return _from_histograms(model, Feeds(inputs, batch), ranges, method)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's collector reports on stdout; NaNs are seen in the result."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _minmax(model: Path, feeds: Feeds) -> Ranges:
    collector = _collector(model, CalibrationMethod.MinMax)
    for chunk in _chunks(feeds):
        collector.collect_data(chunk)
    found = collector.compute_data().items()
    return {name: (float(data.lowest.item()), float(data.highest.item())) for name, data in found}


def _from_histograms(model: Path, feeds: Feeds, ranges: Ranges, method: str) -> Ranges:
    """Ranges inside ``ranges``, of the same tensors.

    The histograms are laid out beforehand: left to itself the collector adds bins whenever a later
    value is larger, which is without bounds where the first ones are tiny.
    """
    collector = _collector(model, CalibrationMethod.Percentile)
    histograms = calibrate.HistogramCollector("percentile", False, N_BINS, 0, PERCENTILE, "same")
    for name, (low, high) in ranges.items():
        reach = np.array(max(abs(low), abs(high)), np.float32)
        edges = np.linspace(-reach, reach, N_BINS + 1, dtype=np.float32)
        counts = np.zeros(N_BINS, np.int64)
        ends = (np.array(low, np.float32), np.array(high, np.float32))
        histograms.histogram_dict[name] = (counts, edges, *ends, reach)
    assert isinstance(collector, calibrate.HistogramCalibrater)
    collector.collector = histograms
    collector.tensors_to_calibrate = set(ranges)
    for chunk in _chunks(feeds):
        collector.collect_data(chunk)
    if method == "percentile":
        found = collector.compute_data().items()
        bounds = {name: data.range_value for name, data in found}
        return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}
    return {
        name: mse_range(counts, edges, min(float(low), 0.0), max(float(high), 0.0))
        for name, (counts, edges, low, high, _) in histograms.histogram_dict.items()
    }


def _collector(model: Path, method: CalibrationMethod) -> calibrate.CalibraterBase:
    name = f"{model.stem}_{method.name.lower()}.onnx"
    options = {"percentile": PERCENTILE} if method is CalibrationMethod.Percentile else {}
    return calibrate.create_calibrator(
        model,
        None,  # all operators
        augmented_model_path=str(model.with_name(name)),
        calibrate_method=method,
        extra_options=options,
    )


def _chunks(feeds: Feeds) -> Iterator[_Chunk]:
    while True:
        chunk = [feed for _ in range(CHUNK) if (feed := feeds.get_next())]
        if not chunk:
            return
        yield _Chunk(chunk)
