"""Pad, by any number or by what the image holds.

``weft.nn.onnx.pads`` makes padding by 0 part of the Conv or AveragePool behind it wherever it can.
"""

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.moves import moved
from weft.nn.onnx.symbols import Codes, Constant, QuantisedConstant, Symbol

MAX_PADS = 1 << 10  # of one side
MODES = ("constant", "edge", "reflect", "wrap")


def pad(node: Node, builder: Builder) -> Symbol:
    """Pad of all dimensions but the batch, negative pads cut."""
    value = builder.symbol(node, 0)
    if node.outputs[0] not in builder.wanted:  # it is part of its readers by now
        return value
    mode = node.text("mode", "constant")
    if mode not in (*MODES, "symmetric"):  # the last one in TFLite only
        raise ModelError(
            f"attribute 'mode' is {mode!r}", remedy=f"{', '.join(MODES)} are supported", at=node
        )
    places = [
        _places(node, mode, size, sides)
        for size, sides in zip(value.shape, _sides(node, builder, value), strict=True)
    ]
    fill = _fill(node, builder, value) if mode == "constant" else 0.0
    return moved(node, builder, value, places, node.outputs[0], fill)


def _places(node: Node, mode: str, size: int, sides: tuple[int, int]) -> list[int]:
    """What each place of a padded dimension holds; -1 what is filled."""
    begin, end = (max(side, 0) for side in sides)
    left = np.arange(max(-sides[0], 0), size - max(-sides[1], 0))
    if mode == "constant":
        return [-1] * begin + left.tolist() + [-1] * end
    if mode == "reflect" and max(begin, end) >= max(len(left), 1):
        raise ModelError(
            f"reflects {max(begin, end)} of {len(left)}",
            remedy="less than all is supported",
            at=node,
        )
    return np.pad(left, (begin, end), mode=mode).tolist()  # pyright: ignore


def _fill(node: Node, builder: Builder, value: Symbol) -> float:
    """The number to fill in: a code of the model's type for codes, else a real number."""
    given = np.array(node.number("value", 0.0))
    if node.input(2):
        constant = builder.symbol(node, 2)
        if isinstance(constant, QuantisedConstant):
            given = constant.real
        elif isinstance(constant, Constant):
            given = constant.array
        else:
            raise ModelError(
                "its value is computed at run time", remedy="constants are supported", at=node
            )
    if given.size != 1 or not np.isfinite(given).all():
        raise ModelError(
            f"pads with {given.tolist()}", remedy="one finite number is supported", at=node
        )
    fill = float(given.reshape(-1)[0])
    if isinstance(value, Codes):
        info = np.iinfo(builder.quantisations[value.tensor].dtype)
        if not info.min <= fill <= info.max:
            raise ModelError(f"pads with {fill:g}, which is no {info.dtype}", at=node)
    return fill


def _sides(node: Node, builder: Builder, value: Symbol) -> list[tuple[int, int]]:
    """How much is added at the beginning and at the end of each dimension."""
    rank = len(value.shape)
    pads = node.integers("pads")
    if pads is None:
        pads = _integers(node, builder, 1)
    axes = _integers(node, builder, 3) if node.input(3) else tuple(range(rank))
    fits = len(pads) == 2 * len(axes) and all(-rank <= axis < rank for axis in axes)
    sides = [(0, 0)] * rank
    for place, axis in enumerate(axes if fits else ()):
        sides[axis] = pads[place], pads[place + len(axes)]
    batch = isinstance(value, Constant) or sides[:1] == [(0, 0)]
    left = [size + min(a, 0) + min(b, 0) for size, (a, b) in zip(value.shape, sides, strict=True)]
    if not fits or not batch or max((0, *pads)) > MAX_PADS or min(left) < 1:
        raise ModelError(
            f"pads {list(pads)} of axes {list(axes)}",
            remedy=f"up to {MAX_PADS} at each side behind the batch are supported",
            at=node,
        )
    return sides


def _integers(node: Node, builder: Builder, index: int) -> tuple[int, ...]:
    value = builder.symbol(node, index)
    if not isinstance(value, Constant) or value.array.dtype.kind != "i":
        raise ModelError(f"input {node.input(index)!r} must be constant integers", at=node)
    return tuple(int(item) for item in value.array.reshape(-1))
