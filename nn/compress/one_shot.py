"""Compression in one pass: layer by layer, each fitted to what the original made of its samples.

The target of a layer is its own result in the original network; its inputs are those of the
network compressed so far, so that it makes up for what the layers before it lost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from weft.nn.compress.layers import Layer
from weft.nn.compress.masks import pruned
from weft.nn.compress.moments import Moments, moments
from weft.nn.compress.patches import Sampler
from weft.nn.compress.patterns import Pattern
from weft.nn.compress.rewrite import rewritten, source_scale
from weft.nn.compress.rounding import Rounded, rounded
from weft.nn.quantise.scales import Scale, with_room


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What becomes of a layer."""

    bits: int
    pattern: Pattern | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A layer's new weights and bias float64 [C_out]; mask bool [outputs, inputs]."""

    layer: Layer
    wanted: Wanted
    weight: Rounded
    bias: np.ndarray
    mask: np.ndarray
    stored: str = ""  # the constant of the file that holds the codes

    @property
    def kept(self) -> float:
        """Share of the weights that may be other than zero."""
        return float(self.mask.mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class Compressed:
    """The model with int8 constants, and its layers."""

    model: onnx.ModelProto
    layers: tuple[Fitted, ...]


Report = Callable[[str], None]


def targets(
    sampler: Sampler, layers: Sequence[Layer]
) -> tuple[dict[str, np.ndarray], dict[str, list[np.ndarray]]]:
    """Of the original network each layer's results [places, C_out], and its groups' second moments.

    The bias is not part of the results.
    """
    results, squares = {}, {}
    for layer in layers:
        (rows,) = sampler.rows(sampler.model, [layer])
        results[layer.name] = _products(layer, rows)
        squares[layer.name] = [
            moments(part, _outputs(layer, results[layer.name], i), _weights(layer, i)).square
            for i, part in enumerate(_groups(layer, rows))
        ]
    return results, squares


def surrogate(layer: Layer, squares: Sequence[np.ndarray], bits: int) -> float:
    """How much of a layer's output power its error is at so many bits, inputs being exact."""
    error = power = 0.0
    for group, square in enumerate(squares):
        weight = _weights(layer, group)
        off = rounded(square, weight, np.ones(weight.shape, bool), bits).weight - weight
        error += float(np.einsum("ri,ij,rj->", off, square, off, optimize=True))
        power += float(np.einsum("ri,ij,rj->", weight, square, weight, optimize=True))
    return error / power if power > 0 else 0.0


def compressed(
    sampler: Sampler,
    layers: Sequence[Layer],
    results: Mapping[str, np.ndarray],
    wanted: Mapping[str, Wanted],
    report: Report = lambda _: None,
) -> Compressed:
    """The model with the layers in ``wanted`` compressed; the others stay as they are.

    results: of ``targets``.
    """
    model, done = sampler.model, []
    for layer in layers:
        if layer.name not in wanted:
            continue
        report(f"layer {layer.name!r}: {wanted[layer.name].bits} bits")
        (rows,) = sampler.rows(model, [layer])
        fitted = fit(layer, rows, results[layer.name], wanted[layer.name], _scale(model, layer))
        model, stored = rewritten(model, layer, fitted.weight, fitted.bias)
        done.append(
            Fitted(
                layer=layer,
                wanted=fitted.wanted,
                weight=fitted.weight,
                bias=fitted.bias,
                mask=fitted.mask,
                stored=stored,
            )
        )
    return Compressed(model=model, layers=tuple(done))


def fit(
    layer: Layer, rows: np.ndarray, results: np.ndarray, wanted: Wanted, scale: Scale | None
) -> Fitted:
    """New weights and bias of a layer.

    rows: its inputs, [places, groups * inputs]; results: what is wanted of it without its bias,
    [places, C_out]; scale: of its input, where it is known.
    """
    classes = None if wanted.pattern is None else wanted.pattern.classes(layer)
    parts: list[tuple[Rounded, np.ndarray, np.ndarray]] = []
    for group, inputs in enumerate(_groups(layer, rows)):
        problem = moments(inputs, _outputs(layer, results, group), _weights(layer, group))
        mask, weight = pruned(problem, classes)
        codes = rounded(problem.square, weight, mask, wanted.bits)
        own = layer.bias[_rows(layer, group)]
        codes = _with_room(codes, problem, own, scale)
        parts.append((codes, problem.bias(codes.weight) + own, mask))
    return Fitted(
        layer=layer,
        wanted=wanted,
        weight=Rounded(
            codes=np.concatenate([part[0].codes for part in parts]),
            scale=np.concatenate([part[0].scale for part in parts]),
        ),
        bias=np.concatenate([part[1] for part in parts]),
        mask=np.concatenate([part[2] for part in parts]),
    )


def _with_room(weight: Rounded, problem: Moments, own: np.ndarray, source: Scale | None) -> Rounded:
    """Coarser codes where the bias had none within int32; any scale suits weights that are 0."""
    if source is None:
        return weight
    before = Scale(scale=weight.scale, zero_point=np.zeros(weight.scale.shape, np.int8), axis=0)
    bias = (problem.bias(weight.weight) + own).astype(np.float32)
    after = with_room(before, source, bias, np.asarray(~weight.codes.any(axis=1))).scale
    codes = np.rint(weight.codes * (weight.scale / after.astype(np.float64))[:, None])
    return Rounded(codes=codes.astype(np.int64), scale=after)


def _scale(model: onnx.ModelProto, layer: Layer) -> Scale | None:
    scale = source_scale(model, layer)
    return (
        None if scale is None else Scale(scale=np.asarray(scale), zero_point=np.zeros((), np.int8))
    )


def _groups(layer: Layer, rows: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, layer.groups, axis=1)


def _rows(layer: Layer, group: int) -> slice:
    size = layer.outputs // layer.groups
    return slice(group * size, (group + 1) * size)


def _weights(layer: Layer, group: int) -> np.ndarray:
    return layer.matrix[_rows(layer, group)]


def _outputs(layer: Layer, results: np.ndarray, group: int) -> np.ndarray:
    return results[:, _rows(layer, group)]


def _products(layer: Layer, rows: np.ndarray) -> np.ndarray:
    parts = [part @ _weights(layer, i).T for i, part in enumerate(_groups(layer, rows))]
    return np.concatenate(parts, axis=1)
