"""What a layer multiplies its weights with: some of the places of its windows, as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from weft.nn.compress.layers import Layer
from weft.nn.compress.runner import chunks
from weft.nn.ir.window import windows
from weft.nn.onnx.model import node_of
from weft.nn.onnx.window import window_of

ROWS, LEAST_ROWS = 24_000, 8_000  # places of one layer, over all samples: at most; of wide layers
MAX_NUMBERS = 1 << 24  # in the rows of one layer, as long as there are LEAST_ROWS


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampler:
    """The places of each layer: the same ones in every network, chosen by a fixed seed."""

    model: onnx.ModelProto
    inputs: Mapping[str, np.ndarray]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.inputs.values())))

    def rows(self, model: onnx.ModelProto, layers: Sequence[Layer]) -> list[np.ndarray]:
        """Of each layer the inputs float64 [places, groups * inputs] in a model.

        The order of a row is [groups, kh, kw, C_in / groups].
        """
        parts: list[list[np.ndarray]] = [[] for _ in layers]
        first = 0
        for found in chunks(model, self.inputs, [layer.source for layer in layers]):
            for layer, array, part in zip(layers, found, parts, strict=True):
                part.append(self._rows(layer, array, first))
            first += len(found[0])
        return [np.concatenate(part) for part in parts]

    def _rows(self, layer: Layer, array: np.ndarray, first: int) -> np.ndarray:
        """Those of some samples [n, ...], the first of which has the number ``first``."""
        view = self._windows(layer, array)
        n, height, width = view.shape[0], *view.shape[2:4]
        total = self.samples * height * width
        generator = np.random.default_rng(0)
        places = np.sort(
            generator.choice(total, min(_most(layer), total), replace=False, shuffle=False)
        )
        places = places - first * height * width
        places = places[(places >= 0) & (places < n * height * width)]
        sample, place = np.divmod(places, height * width)
        rows = view[sample, :, place // width, place % width]  # [places, C, kh, kw]
        grouped = rows.reshape(len(rows), layer.groups, layer.channels, *rows.shape[2:])
        return grouped.transpose(0, 1, 3, 4, 2).reshape(len(rows), -1).astype(np.float64)

    def _windows(self, layer: Layer, array: np.ndarray) -> np.ndarray:
        """View [n, C, OH, OW, kh, kw] of a layer's input."""
        if layer.op != "Conv":
            rows = array.reshape(len(array), -1, array.shape[-1])
            return rows.transpose(0, 2, 1)[:, :, None, :, None, None]
        node = next(item for item in self.model.graph.node if item.name == layer.name)
        image = array[:, :, None] if array.ndim == 3 else array
        kernel = layer.weight.shape[2:] if array.ndim == 4 else layer.weight.shape[3:]
        window = window_of(node_of(node), kernel, (image.shape[2], image.shape[3]))
        return windows(image, window, 0)


def _most(layer: Layer) -> int:
    """How many places of a layer are looked at."""
    fitting = MAX_NUMBERS // (layer.groups * layer.inputs)
    return min(ROWS, max(LEAST_ROWS, fitting))
