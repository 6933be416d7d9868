"""Pads become part of the Conv or AveragePool behind them, before anything is imported.

Between the two may be what leaves a 0 a 0: Relu, Identity, QuantizeLinear, DequantizeLinear. A Pad
that anything else reads stays; ``weft.nn.onnx.ops.pad`` imports it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from weft.nn.onnx.model import Node, OnnxModel

CARRIERS = ("QuantizeLinear", "DequantizeLinear", "Identity", "Relu")
REAL = ("DequantizeLinear", "Relu", "Conv", "Add")  # their results are real numbers, not codes


@dataclass(frozen=True, kw_only=True)
class _Wiring:
    makers: Mapping[str, Node]
    readers: Mapping[str, list[Node]]
    constants: Mapping[str, np.ndarray]
    outputs: frozenset[str]


def fold_pads(model: OnnxModel, nodes: list[Node]) -> list[Node]:
    """The nodes with the pads of each Pad moved, where all that it reaches can take them.

    The Pad itself stays in the list; nothing reads it then.
    """
    for name in [node.outputs[0] for node in nodes if node.op == "Pad" and node.outputs]:
        readers: dict[str, list[Node]] = {}
        for node in nodes:
            for item in node.inputs:
                readers.setdefault(item, []).append(node)
        wiring = _Wiring(
            makers={item: node for node in nodes for item in node.outputs},
            readers=readers,
            constants=model.initialisers,
            outputs=frozenset(port.name for port in model.outputs),
        )
        changed = _folded(wiring.makers[name], wiring)
        nodes = [changed.get(node.outputs[0], node) if node.outputs else node for node in nodes]
    return nodes


def _folded(node: Node, wiring: _Wiring) -> dict[str, Node]:
    """The nodes that change, by their first output; none where the Pad stays."""
    pads = _spatial(node, wiring)
    takers = None if pads is None else _takers(node.outputs[0], wiring)
    if pads is None or takers is None:
        return {}
    changed: dict[str, Node] = {}
    for taker in takers:
        own = _with_pads(taker, pads)
        if own is None:
            return {}
        changed[taker.outputs[0]] = own
    for reader in wiring.readers[node.outputs[0]]:
        now = changed.get(reader.outputs[0], reader)
        changed[reader.outputs[0]] = replace(now, inputs=(node.inputs[0], *now.inputs[1:]))
    return changed


def _takers(name: str, wiring: _Wiring) -> list[Node] | None:
    """All that a value reaches through carriers; None where that is not known to be enough."""
    readers = wiring.readers.get(name, [])
    if name in wiring.outputs or not readers:
        return None
    found: list[Node] = []
    for reader in readers:
        if reader.inputs.count(name) != 1 or reader.inputs[0] != name or not reader.outputs:
            return None
        beyond: list[Node] | None = [reader]
        if reader.op in CARRIERS:
            beyond = _takers(reader.outputs[0], wiring)
        if beyond is None:
            return None
        found += beyond
    return found


def _with_pads(node: Node, pads: tuple[int, ...]) -> Node | None:
    """A Conv or AveragePool with more pads; None where that is not the same."""
    kernel = node.integers("kernel_shape")
    if node.op not in ("Conv", "AveragePool") or kernel is None or 2 * len(kernel) != len(pads):
        return None
    own = node.integers("pads") or (0,) * len(pads)
    if len(own) != len(pads) or node.text("auto_pad", "NOTSET") != "NOTSET":
        return None
    attributes = {**node.attributes, "pads": [a + b for a, b in zip(own, pads, strict=True)]}
    if node.op == "AveragePool":
        if node.integer("ceil_mode", 0) or (any(own) and not node.integer("count_include_pad", 0)):
            return None
        attributes["count_include_pad"] = 1
    return replace(node, attributes=attributes)


def _spatial(node: Node, wiring: _Wiring) -> tuple[int, ...] | None:
    """Begins, then ends, from the third dimension on; None where it pads others, or not by 0."""
    pads = _array(node.input(1), wiring)
    if pads is None and "pads" in node.attributes:
        pads = np.array(node.integers("pads"))
    if pads is None or pads.size % 2 or pads.size < 6 or node.input(3):
        return None  # axes by number: left to the importer
    begins, ends = pads.reshape(2, -1).tolist()
    plain = node.text("mode", "constant") == "constant" and _by_zero(node, wiring)
    if not plain or any((*begins[:2], *ends[:2])) or min(*begins, *ends) < 0:
        return None
    return (*begins[2:], *ends[2:])


def _by_zero(node: Node, wiring: _Wiring) -> bool:
    """Whether a Pad of real numbers fills in 0."""
    maker = wiring.makers.get(node.inputs[0])
    if maker is None or maker.op not in REAL or node.attributes.get("value", 0.0) != 0:
        return False
    if not node.input(2):
        return True
    source = wiring.makers.get(node.input(2))
    if source is not None and source.op == "DequantizeLinear":
        codes, zero = (_array(source.input(index), wiring) for index in (0, 2))
        return codes is not None and bool(np.all(codes == (0 if zero is None else zero)))
    value = _array(node.input(2), wiring)
    return value is not None and bool(np.all(value == 0))


def _array(name: str, wiring: _Wiring) -> np.ndarray | None:
    return wiring.constants.get(name) if name else None
