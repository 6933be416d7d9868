"""Random float networks, with every form of constants and names that is hard to keep apart.

Network number n is always the same: ``random_float(n)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSETS = (11, 12, 13, 14, 15, 17, 18, 20, 21)
HOSTILE = (
    "input_scale", "b0", "b", "x_QuantizeLinear", "x_zero_point", "x_scale", "x_quantized", "t0",
    "t1", "t2", "q0", "q1", "n0", "n1", "weft_1", "x_DequantizeLinear_Output", "t0_given", "größe",
    "量", "a b", "/net/conv/Conv_output_0", "x" * 3000, "x_QuantizeLinear_Input", "constant_inner",
    "t1_ReduceMin", "x_inner", "i1", "o",
)  # fmt: skip
SUFFIXES = (
    "_scale", "_zero_point", "_QuantizeLinear", "_QuantizeLinear_Output", "_quantized", "_2",
    "_DequantizeLinear_Output", "_QuantizeLinear_Input", "_given", "_inner", "_codes",
)  # fmt: skip
Shape = tuple[int, ...]


@dataclass
class Maker:
    """A float network under construction. Tensors are [C, H, W] or [N], a batch in front."""

    rng: np.random.Generator
    opset: int
    hostile: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    stored: list[onnx.NodeProto] = field(default_factory=list)  # Constant nodes
    inputs: dict[str, Shape] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def between(self, low: int, high: int) -> int:
        """Both included."""
        return int(self.rng.integers(low, high + 1))

    def name(self, plain: str) -> str:
        """A name not in use, in a hostile network often one that tools invent."""
        wanted = f"{plain}{len(self.taken)}"
        if self.hostile and self.chance(0.5):
            known = sorted(self.taken)
            invented = self.pick(known) + self.pick(SUFFIXES) if known else wanted
            wanted = self.pick([self.pick(HOSTILE), invented])
        while wanted in self.taken:
            wanted += self.pick("_0ab")
        self.taken.add(wanted)
        return wanted

    def constant(self, array: Any, dtype: str = "float32", share: bool = True) -> str:
        """A constant; sometimes one that is there already, where the shape fits."""
        value = np.asarray(array, dtype)
        fitting = [n for n, a in self.constants.items() if a.shape == value.shape]
        fitting = [n for n in fitting if self.constants[n].dtype == value.dtype]
        if share and value.dtype == np.float32 and fitting and self.chance(0.3):
            return self.pick(fitting)
        name = self.name("c")
        self.constants[name] = value
        if self.chance(0.2):
            tensor = numpy_helper.from_array(value, "")
            self.stored.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def node(self, op: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:
        (result,) = self.split(op, inputs, [shape], **attributes)
        return result

    def split(
        self, op: str, inputs: Sequence[str], shapes: Sequence[Shape], **attributes: Any
    ) -> list[str]:
        results = [self.name(op.lower()) for _ in shapes]
        label = "" if self.chance(0.3) else self._label(op)
        self.nodes.append(helper.make_node(op, list(inputs), results, name=label, **attributes))
        self.shapes |= dict(zip(results, shapes, strict=True))
        return results

    def _label(self, op: str) -> str:
        """Of a node; ONNX Runtime wants them to differ."""
        used = {node.name for node in self.nodes}
        label = f"n_{op}{len(self.nodes)}"
        if self.hostile and self.chance(0.5):
            label = self.pick([*HOSTILE, *(f"{n}_QuantizeLinear" for n in sorted(self.taken))])
        while label in used:
            label += "_"
        return label

    def input(self, shape: Shape) -> str:
        name = self.name("x")
        self.inputs[name] = self.shapes[name] = shape
        return name

    def weights(self, *shape: int) -> str:
        """Sizes that keep activations as large as they are, some channels far smaller."""
        values = self.rng.normal(0, 1 / np.sqrt(max(np.prod(shape[1:]), 1)), shape)
        if self.chance(0.2):
            values[self.between(0, shape[0] - 1)] *= self.pick([0, 1e-3, 1e-6, 30])
        return self.constant(values)

    def vector(self, size: int, low: float = -1, high: float = 1) -> str:
        return self.constant(self.rng.uniform(low, high, size))

    def model(self, outputs: Sequence[str]) -> onnx.ModelProto:
        stored = {node.output[0] for node in self.stored}
        apart = {n: a for n, a in self.constants.items() if n not in stored}
        values = [self._value(name, shape) for name, shape in self.inputs.items()]
        if self.chance(0.2):  # as old exports do
            values += [self._fixed(name, array) for name, array in apart.items()]
        graph = helper.make_graph(
            [*self.stored, *self.nodes],
            "net",
            values,
            [self._value(name, self.shapes[name]) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in apart.items()],
        )
        opset = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)

    def _value(self, name: str, shape: Shape) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])

    @staticmethod
    def _fixed(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, array.shape)


@dataclass(frozen=True, kw_only=True)
class FloatNetwork:
    """A model, samples [n, ...] of its inputs, and what it is made of."""

    model: onnx.ModelProto
    inputs: dict[str, np.ndarray]
    kinds: tuple[str, ...]


def random_float(number: int, samples: int = 24) -> FloatNetwork:
    """Network number ``number``."""
    from tests.nn.quantise.random_float_operators import FLAT, IMAGE, join

    rng = np.random.default_rng(number)
    maker = Maker(rng=rng, opset=int(rng.choice(OPSETS)), hostile=bool(rng.random() < 0.6))
    flat = maker.chance(0.25)
    size = (maker.between(3, 20),) if flat else (maker.between(1, 5), *rng.integers(4, 10, 2))
    shape = tuple(int(n) for n in size)
    live = [maker.input(shape)]
    if maker.chance(0.15):
        live.append(maker.input(shape))
    for _ in range(maker.between(1, 8)):
        x = live[-1] if maker.chance(0.7) else maker.pick(live)
        others = [t for t in live if t != x and maker.shapes[t] == maker.shapes[x]]
        if others and maker.chance(0.5):
            made = join(maker, x, maker.pick(others))
        else:
            table = FLAT if len(maker.shapes[x]) == 1 else IMAGE
            kind = maker.pick(list(table))
            maker.kinds.append(kind)
            made = table[kind](maker, x)
        live += [t for t in made if t not in live]
    written = [t for t in live if t not in maker.inputs]
    read = {name for node in maker.nodes for name in node.input}
    outputs = [t for t in written if t not in read or maker.chance(0.15)] or written[-1:]
    return FloatNetwork(
        model=maker.model(outputs),
        inputs={n: _values(rng, (samples, *s)) for n, s in maker.inputs.items()},
        kinds=tuple(maker.kinds),
    )


def _values(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Samples: around zero, on one side of it, far from it, constant, tiny, huge."""
    values = rng.normal(0, 1, shape)
    kind = int(rng.integers(10))
    match kind:
        case 0:
            values = np.abs(values)
        case 1:
            values = values * 0.1 + rng.choice([-5, 2, 9])
        case 2:
            values = np.full(shape, rng.choice([0.0, 1.0, -0.3]))
        case 3:
            values = values * float(rng.choice([1e-6, 1e-3, 1e3, 1e6]))
        case 4:
            values = rng.integers(0, 256, shape).astype(float)
        case _:
            pass
    return values.astype(np.float32)
