"""Models renamed so that their names meet those that weft invents, and nothing else changes."""

from collections.abc import Callable, Iterable

import numpy as np
import onnx

from weft.nn.onnx.importer import import_graph
from weft.nn.onnx.model import OnnxModel, from_proto

BASES = ("x", "X", "g", "o", "n", "module", "int", "é", "日本", "a b", 'q"', "l\ni\tne", "*/", "\\")
SUFFIXES = (
    "", "_codes", "_hinges", "_accumulators", "_edges", "_before", "_moved", "_channels", "_joined",
    "_part0", "_part1", "_sum0", "_code0", "_code1", "_clamped", "_unshaped", "_reshape", "_scale",
    "_zero_point", "_QuantizeLinear", "_2", "_codes_2", "_3x3x3", "/copy", "/moved", " (step 1)",
    " (step 2)", " (integer)", "/codes", "/weights", "#1", "#2", "/DequantizeLinear1",
)  # fmt: skip
ODD = (
    "(inputs)", "(outputs)", "b0", " ", "wire", "endmodule", "weft_top", "WEFT_H", "float", "input",
    "Input", "INPUT", "weft_run", "%s%n", "$readmemh", "../x", "null", "true", "'", "\u200b",
    "L" * 3000, "é" * 3000, "L" * 2999 + "M",
)  # fmt: skip


def invented(model: OnnxModel) -> list[str]:
    """Names in the model's graph that are not the model's."""
    graph = import_graph(model)
    own = {name for node in model.nodes for name in (node.name, *node.inputs, *node.outputs)}
    names = [item.name for item in (*graph.tensors, *graph.operators)]
    return sorted(set(names) - own)


def renaming(
    values: Iterable[str], others: Iterable[str], rng: np.random.Generator
) -> tuple[dict[str, str], Callable[[str], str]]:
    """New names of a model's values, and of its nodes one by one.

    others: names that weft invents for this model; these, most of all, are given away.
    """
    palette = [base + suffix for base in BASES for suffix in SUFFIXES] + list(ODD)
    palette = [str(name) for name in rng.permutation(np.array(palette, object))]
    others = [str(name) for name in rng.permutation(np.array([*others, ""], object)) if name]
    values = list(dict.fromkeys(values))
    new: dict[str, str] = {}
    taken = set(values)  # a value keeps its own name until it has another
    for value in values:
        taken.discard(value)
        kind = rng.random()
        choices = others if kind < 0.3 else palette if kind < 0.7 else [value]
        new[value] = next(name for name in (*choices, value, *palette) if name not in taken)
        taken.add(new[value])

    def node(name: str) -> str:
        match int(rng.integers(5)):
            case 0:
                return ""
            case 1:
                return "g"
            case 2:
                return str(rng.choice(palette[:20]))
            case 3:
                return str(rng.choice([*others, *new.values()]))
            case _:
                return name

    return new, node


def hostile(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """A copy of a model with other names of its values and nodes."""
    rng = np.random.default_rng(seed)
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    graph = copy.graph
    values = [item.name for item in (*graph.input, *graph.initializer)]
    values += [name for node in graph.node for name in node.output if name]
    others = invented(from_proto(onnx.ModelProto.FromString(model.SerializeToString())))
    new, node_name = renaming(values, others, rng)
    for item in (*graph.input, *graph.initializer, *graph.output, *graph.value_info):
        item.name = new.get(item.name, item.name)
    for node in graph.node:
        node.name = node_name(node.name)
        for names in (node.input, node.output):
            names[:] = [new.get(name, name) for name in names]
    return copy
