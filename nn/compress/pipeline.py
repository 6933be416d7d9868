"""A model with fewer bits and more zeros: what is chosen for each layer, and its compression."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from weft.errors import ConfigError, ModelError
from weft.nn.compress.layers import Found, Layer, find
from weft.nn.compress.one_shot import Compressed, Report, Wanted, compressed, targets
from weft.nn.compress.patches import Sampler
from weft.nn.compress.patterns import Pattern
from weft.nn.compress.precision import Budget, budgeted, check_reach, check_width
from weft.nn.compress.rounding import MOST_BITS
from weft.nn.quantise.runtime import REFUSALS, reason


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is wanted of a model.

    bits: of every layer, None to choose them within the budget; pattern: of zeros; keep_ends: the
    first and the last layer stay as they are; budget: made for the layers.
    """

    bits: int | None
    pattern: Pattern | None = None
    keep_ends: bool = False
    budget: Callable[[tuple[Layer, ...]], Budget] | None = None


def compress(
    model: onnx.ModelProto,
    inputs: Mapping[str, np.ndarray],
    options: Options,
    report: Report = lambda _: None,
) -> tuple[Compressed, Found]:
    """The compressed model, and what was found in it. model: of ``standard``; inputs: samples.

    Raises ModelError where there is nothing to compress or ONNX Runtime cannot run the model,
    FitError where the budget is out of reach.
    """
    try:
        found = find(model)
        wanted_of = _wanted(found, options)
        sampler = Sampler(model=model, inputs=inputs)
        report("the original's results")
        results, squares = targets(sampler, found.layers)
        wanted = wanted_of(squares)
        return compressed(sampler, found.layers, results, wanted, report), found
    except REFUSALS as error:
        raise ModelError(f"ONNX Runtime cannot run the model: {reason(error, {})}") from error


Squares = Mapping[str, list[np.ndarray]]


def _wanted(found: Found, options: Options) -> Callable[[Squares], dict[str, Wanted]]:
    """What is wanted of each layer, from their inputs' second moments; refuses before those are
    known what can be refused."""
    layers = found.layers
    ends = {layers[0].name, layers[-1].name} if options.keep_ends and layers else set()
    body = [layer.name for layer in layers if layer.name not in ends]
    if not body:
        raise ModelError(_nothing(found))
    budget = None if options.budget is None else options.budget(layers)
    fixed = dict.fromkeys(ends, MOST_BITS)
    if options.bits is not None:
        fixed |= dict.fromkeys(body, options.bits)
        _check_fixed(layers, fixed, budget)
    elif budget is None:
        raise ConfigError("weight bits 'auto' need a budget to choose them by")

    def choose(squares: Squares) -> dict[str, Wanted]:
        bits = fixed
        if options.bits is None and budget is not None:
            bits = budgeted(layers, squares, budget, fixed)
        wanted = {
            name: Wanted(bits=count, pattern=options.pattern)
            for name, count in bits.items()
            if name not in ends and (count < MOST_BITS or options.pattern)
        }
        if not wanted:
            raise ConfigError(
                f"all layers keep their {MOST_BITS} bits and no weight becomes zero: ask for fewer "
                "bits, a smaller budget or a pattern of zeros"
            )
        return wanted

    return choose


def _nothing(found: Found) -> str:
    """Why no layer is left to compress."""
    if found.layers:
        names = " and ".join(repr(layer.name) for layer in found.layers)
        return f"nothing lies between the first and the last layer with weights ({names})"
    left = "; ".join(f"{name!r}: {why}" for name, why in found.left.items())
    return f"no layer with weights can be compressed{f' ({left})' if left else ''}"


def _check_fixed(layers: tuple[Layer, ...], bits: Mapping[str, int], budget: Budget | None) -> None:
    """Refuse bits that are beyond a budget."""
    if budget is None:
        return
    check_width(max(bits.values()), budget)
    check_reach(sum(budget.cost(layer, bits[layer.name]) for layer in layers), budget)
